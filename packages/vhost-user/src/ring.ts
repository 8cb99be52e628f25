/** One ring as the front end has described it, and the addon's ring once it runs. */
import type { Arena } from "@demiflow/core"
import { type Native, SystemError } from "@demiflow/sys"
import { RING_LOGS } from "./messages.ts"
import { Refusal } from "./vhost-user-end.ts"

const RECORD_BYTES = 48
/** Offsets of fields in the addon's record. */
const DESCRIPTORS = 0
const AVAILABLE = 8
const USED = 16
const LOGGED_USED = 24
const ENTRIES = 32
const FIRST = 36
const FLAGS = 40
const CHAINS_AT = 44
/** Offsets of fields in a message with addresses. */
const MESSAGE_FLAGS = 4
const MESSAGE_DESCRIPTORS = 8
const MESSAGE_USED = 16
const MESSAGE_AVAILABLE = 24
const MESSAGE_LOGGED_USED = 32

/** Most entries of a split ring: virtio 1.3, section 2.7. */
const MOST_ENTRIES = 32_768

/** Arena bytes that a {@link GuestRing} reserves at most. */
export const GUEST_RING_BYTES: number = RECORD_BYTES + 64 + 16

/** A ring of the guest, in one of three states: stopped, disabled, and enabled. */
export class GuestRing {
  readonly index: number
  /** Descriptors of the front end's, -1 if there is none. */
  kick = -1
  call = -1
  error = -1
  /** True once it may run: kicks come by a descriptor, or are to be polled for. */
  isStarted = false
  /** True if it is to be polled. */
  isPolled = false
  /** What the front end asked for; undefined if it didn't. */
  isEnabled: boolean | undefined
  readonly #native: Native
  readonly #arena: Arena
  readonly #record: number
  /** What notifies. */
  readonly #one: number
  #number = -1
  #base = 0
  #logsUsed = false
  #hasAddresses = false

  constructor(native: Native, arena: Arena, index: number) {
    this.index = index
    this.#native = native
    this.#arena = arena
    this.#record = arena.reserve(RECORD_BYTES, 64, "a ring of a vhost-user guest")
    arena.bytes.fill(0, this.#record, this.#record + RECORD_BYTES)
    this.#one = arena.reserve(8, 8, "a ring of a vhost-user guest")
    arena.view.setBigUint64(this.#one, 1n, true)
  }

  /** The addon's number of it, -1 while it doesn't run. */
  get number(): number {
    return this.#number
  }

  get isOpen(): boolean {
    return this.#number >= 0
  }

  /** True if everything is known that it needs to run. */
  get isComplete(): boolean {
    return this.isStarted && this.#hasAddresses && this.#entries > 0
  }

  get #entries(): number {
    return this.#arena.view.getUint32(this.#record + ENTRIES, true)
  }

  /** Sets the number of entries. Returns false for an impossible one. */
  setEntries(entries: number): boolean {
    if (entries === 0 || entries > MOST_ENTRIES || (entries & (entries - 1)) !== 0) return false
    this.#arena.view.setUint32(this.#record + ENTRIES, entries, true)
    return true
  }

  /** The next available index, from 0 to 65,535. */
  get base(): number {
    return this.isOpen ? this.#native.ringBase(this.#number) : this.#base
  }

  set base(index: number) {
    this.#base = index
  }

  /** Takes over the addresses of a message. */
  setAddresses(payload: number): void {
    const { view } = this.#arena
    const copy = (from: number, to: number): void => {
      view.setBigUint64(this.#record + to, view.getBigUint64(payload + from, true), true)
    }
    copy(MESSAGE_DESCRIPTORS, DESCRIPTORS)
    copy(MESSAGE_AVAILABLE, AVAILABLE)
    copy(MESSAGE_USED, USED)
    copy(MESSAGE_LOGGED_USED, LOGGED_USED)
    this.#logsUsed = (view.getUint32(payload + MESSAGE_FLAGS, true) & RING_LOGS) !== 0
    this.#hasAddresses = true
  }

  /**
   * Opens it in the memory. Throws {@link Refusal} if it isn't there.
   *
   * @param flags of all rings, a `RingFlag` mask
   * @param logUsedFlag the flag by which writes to the used ring are logged, 0 if none are
   * @param chainsAt where the number of chains belongs, -1 if they aren't merged
   */
  open(memory: number, flags: number, logUsedFlag: number, chainsAt: number): void {
    const { view } = this.#arena
    view.setUint32(this.#record + FIRST, this.#base, true)
    view.setUint32(this.#record + FLAGS, flags | (this.#logsUsed ? logUsedFlag : 0), true)
    view.setInt32(this.#record + CHAINS_AT, chainsAt, true)
    const number = this.#native.ringOpen(memory, this.#record)
    if (number < 0) throw new Refusal(new SystemError(`use ring ${this.index}`, number).message)
    this.#number = number
    this.#native.ringNotify(number, this.call)
  }

  /** Ends its use, and keeps the next available index. */
  close(): void {
    if (!this.isOpen) return
    this.#base = this.base
    this.#native.ringClose(this.#number)
    this.#number = -1
  }

  /**
   * Replaces the descriptor by which the guest is notified; -1: none. The one before is closed. What was given back
   * before there was one is notified now.
   */
  setCall(descriptor: number): void {
    if (this.isOpen) {
      this.#native.ringNotify(this.#number, descriptor)
      if (descriptor >= 0) this.#native.write(descriptor, this.#one, 8)
    }
    if (this.call >= 0) this.#native.close(this.call)
    this.call = descriptor
  }

  /** Replaces the descriptor by which the front end learns that the ring is unusable; -1: none. */
  setError(descriptor: number): void {
    if (this.error >= 0) this.#native.close(this.error)
    this.error = descriptor
  }

  /** Forgets what the front end has described, but not its descriptors. */
  reset(): void {
    this.close()
    this.isStarted = false
    this.isPolled = false
    this.isEnabled = undefined
    this.#base = 0
    this.#hasAddresses = false
    this.#logsUsed = false
    this.#arena.view.setUint32(this.#record + ENTRIES, 0, true)
  }
}
