/**
 * Frames in the rings of a virtual machine's network card.
 *
 * The addon copies them between guest memory and the arena, many in one call; nothing here touches guest memory. A frame
 * that the guest has no room for waits in a backlog of fixed size, and the link is congested until the backlog is empty
 * again. Notifications of the guest's buffers are requested only while the link is congested.
 */
import {
  type Arena,
  type DropReason,
  type Drops,
  ETHERNET_HEADER_LENGTH,
  type FrameBatch,
  type Link,
  type LinkCapabilities,
  Vectors,
} from "@demiflow/core"
import { type Native, readVirtioHeader, VirtioFlag, VirtioSegmentation, writeVirtioHeader } from "@demiflow/sys"
import { hasFeature, headerBytesOf, Offloads, VhostUserFeature } from "./features.ts"
import { FrameBacklog } from "./frame-backlog.ts"

const DEFAULT_MTU = 65_520
const DEFAULT_RECEIVE_BYTES = 1 << 20
const DEFAULT_BACKLOG_BYTES = 4 << 20
const BACKLOG_FRAMES = 8_192
/** Most frames of one native call. */
const MOST_FRAMES = 256
/** The longest frame, with its virtio header, and a multiple of 64: 65,535 bytes of IP, Ethernet header, VLAN tag. */
const LONGEST_FRAME = 65_664
/** The longer form of the virtio header. */
const HEADROOM = 12
/** Offset in it of the number of chains. */
const CHAINS_AT = 10
/**
 * Attempts to empty the backlog in one call, while the guest goes on adding buffers. A guest that adds them one by one
 * needs many for each frame; the next turn continues.
 */
const ATTEMPTS = 16

/** Frames don't depend on it. */
const LOG = 1n << BigInt(VhostUserFeature.log)

/** Options of a {@link VhostUserLink}. */
export interface VhostUserLinkOptions {
  /** Largest IP packet of one frame, bytes; 65,520 if absent. */
  readonly mtu?: number
  /** Most bytes of frames that one call takes from the guest; 1 MiB if absent. */
  readonly receiveBytes?: number
  /**
   * Most bytes that wait for the guest; 4 MiB if absent. What doesn't fit is dropped: give the tap side no more
   * `transmitBytes` than that.
   */
  readonly backlogBytes?: number
  /** Counts lost frames. */
  readonly drops?: Drops
}

/** Arena bytes that a link with these options reserves at most. */
export function vhostUserLinkArenaBytes(options: VhostUserLinkOptions = {}): number {
  const { receiveBytes = DEFAULT_RECEIVE_BYTES, backlogBytes = DEFAULT_BACKLOG_BYTES } = options
  return receiveBytes + backlogBytes + BACKLOG_FRAMES * 8 + MOST_FRAMES * 12 + 1024
}

/** The guest's rings, by what moves in them. */
export type RingName = "fromGuest" | "toGuest"

/**
 * Moves frames to and from a guest. A {@link VhostUserBackEnd} gives it rings and takes them away; the link stays.
 *
 * Its capabilities follow what a front end agrees to: the object remains, its fields change.
 */
export class VhostUserLink implements Link {
  readonly arena: Arena
  readonly capabilities: LinkCapabilities
  /**
   * True while the guest's rings have stopped, presumably for some time: frames to the guest wait, and the link is
   * congested, until they run again. Set by the back end.
   */
  isPaused = false
  readonly #own: { -readonly [Field in keyof LinkCapabilities]: LinkCapabilities[Field] }
  readonly #native: Native
  readonly #frames: number
  readonly #framesEnd: number
  readonly #lengths: number
  readonly #vectors: Vectors
  readonly #backlog: FrameBacklog
  readonly #reasons: Reasons
  #features = 0n
  #offloads = new Offloads(0n)
  #headerBytes: 10 | 12 = HEADROOM
  /** Numbers of rings, -1 if there is none. */
  #fromGuest = -1
  #toGuest = -1
  /** True if the guest has been asked for notifications. */
  #fromGuestArmed = true
  #toGuestArmed = true
  #isFrameWaiting = false
  #isRoomWaiting = false
  #faulty: RingName | undefined
  #skipped = 0

  /** Reserves {@link vhostUserLinkArenaBytes} of the arena, which must be the one that `native` works on. */
  constructor(native: Native, arena: Arena, options: VhostUserLinkOptions = {}) {
    const receiveBytes = options.receiveBytes ?? DEFAULT_RECEIVE_BYTES
    if (receiveBytes < LONGEST_FRAME) {
      throw new RangeError(`${receiveBytes} bytes do not hold one frame of ${LONGEST_FRAME}: give it more`)
    }
    this.arena = arena
    this.#native = native
    this.#own = {
      mtu: options.mtu ?? DEFAULT_MTU,
      headroom: HEADROOM,
      checksumOffload: false,
      tcpSegmentation: false,
      udpSegmentation: false,
    }
    this.capabilities = this.#own
    this.#frames = arena.reserve(receiveBytes, 64, "frames of a vhost-user guest")
    this.#framesEnd = this.#frames + receiveBytes
    this.#lengths = arena.reserve(MOST_FRAMES * 4, 64, "frames of a vhost-user guest")
    this.#vectors = new Vectors(arena, MOST_FRAMES)
    this.#backlog = new FrameBacklog(arena, options.backlogBytes ?? DEFAULT_BACKLOG_BYTES, BACKLOG_FRAMES)
    this.#reasons = new Reasons(options.drops)
  }

  /** True while frames wait for the guest to have room, and while they would. */
  get isCongested(): boolean {
    return !this.#backlog.isEmpty || (this.isPaused && this.#toGuest < 0)
  }

  /**
   * True if {@link VhostUserLink.receive} may have frames. The guest doesn't report these: they are to be received in
   * turns until this is false.
   */
  get isFrameWaiting(): boolean {
    return this.#isFrameWaiting
  }

  /** True if the guest has buffers that it doesn't report: {@link VhostUserLink.drain} is to be called. */
  get isRoomWaiting(): boolean {
    return this.#isRoomWaiting
  }

  /** The ring that turned out to be unusable; undefined if none did. */
  get faultyRing(): RingName | undefined {
    return this.#faulty
  }

  /** Bytes of the virtio header before each frame in a ring, as agreed on. */
  get headerBytes(): number {
    return this.#headerBytes
  }

  /** Where in a frame the number of its chains belongs; -1 if a frame has one chain. */
  get chainsAt(): number {
    return hasFeature(this.#features, VhostUserFeature.mergedChains) ? CHAINS_AT : -1
  }

  /** Takes over what a front end has agreed to. */
  agree(features: bigint): void {
    // Waiting frames have the header and the offloads that were agreed on before.
    if (((features ^ this.#features) & ~LOG) !== 0n) this.forgetGuest()
    this.#features = features
    this.#headerBytes = headerBytesOf(features)
    this.#offloads = new Offloads(features)
    this.#own.checksumOffload = this.#offloads.checksumToGuest
    this.#own.tcpSegmentation = this.#offloads.tcpToGuest
    this.#own.udpSegmentation = this.#offloads.udpToGuest
  }

  /** Uses a ring of the addon from now on, or none (-1). Frames that wait for the guest stay. */
  useRing(name: RingName, ring: number): void {
    if (this.#faulty === name) this.#faulty = undefined
    if (name === "fromGuest") {
      this.#fromGuest = ring
      this.#fromGuestArmed = true
      this.#isFrameWaiting = ring >= 0
    } else {
      this.#toGuest = ring
      this.#toGuestArmed = true
      this.#isRoomWaiting = ring >= 0 && !this.#backlog.isEmpty
      if (ring >= 0 && this.#backlog.isEmpty) this.#armToGuest(0)
    }
  }

  /** Discards the frames that wait for the guest: another one comes. */
  forgetGuest(): void {
    this.#isRoomWaiting = false
    this.#backlog.clear()
    this.#skipped = this.#backlog.skipped
  }

  /** To be called when the guest reports frames. */
  framesWait(): void {
    this.#isFrameWaiting = this.#fromGuest >= 0
  }

  /** See `Link.receive`. Returns 0 without a guest. */
  receive(batch: FrameBatch): number {
    batch.count = 0
    this.#isFrameWaiting = false
    const ring = this.#fromGuest
    if (ring < 0) return 0
    if (this.#fromGuestArmed) this.#armFromGuest(0)
    const asked = Math.min(batch.capacity, MOST_FRAMES)
    const room = this.#framesEnd - this.#frames
    const count = this.#native.ringTake(ring, this.#frames, room, LONGEST_FRAME, asked, this.#lengths)
    if (count < 0) {
      this.#fail("fromGuest")
      return 0
    }
    const end = this.#hand(batch, count)
    if (count === asked || this.#framesEnd - end < LONGEST_FRAME) this.#isFrameWaiting = true
    else if (this.#armFromGuest(1) > 0) this.#isFrameWaiting = true
    return batch.count
  }

  /** Discards the guest's frames: its ring is disabled. */
  discard(): void {
    const ring = this.#fromGuest
    this.#isFrameWaiting = false
    if (ring < 0) return
    const room = this.#framesEnd - this.#frames
    const count = this.#native.ringTake(ring, this.#frames, room, LONGEST_FRAME, MOST_FRAMES, this.#lengths)
    if (count < 0) {
      this.#fail("fromGuest")
      return
    }
    this.#reasons.count(this.#reasons.disabled, count)
    this.#isFrameWaiting = count > 0 || this.#armFromGuest(1) > 0
  }

  /** See `Link.send`. Without a guest, frames count as taken, and as dropped; those for one that is paused wait. */
  send(batch: FrameBatch, first: number, count: number): number {
    const last = first + count
    let index = first
    if (this.#backlog.isEmpty && this.#toGuest >= 0) index = this.#give(batch, first, last)
    if (this.#toGuest < 0 && !this.isPaused) {
      this.#reasons.count(this.#reasons.noGuest, last - index)
      return count
    }
    while (index < last && this.#keep(batch, index)) index++
    if (!this.#backlog.isEmpty && !this.#toGuestArmed) this.drain()
    return index - first
  }

  /**
   * Gives waiting frames to the guest; to be called when it reports buffers, and for as long as
   * {@link VhostUserLink.isRoomWaiting}.
   * Returns true if the link is no longer congested.
   */
  drain(): boolean {
    this.#isRoomWaiting = false
    for (let attempt = 0; !this.#backlog.isEmpty && this.#toGuest >= 0; attempt++) {
      // The guest doesn't report the buffers that it has added meanwhile.
      if (attempt === ATTEMPTS) {
        this.#isRoomWaiting = true
        return false
      }
      if (this.#backlog.give(this.#native, this.#toGuest) < 0) this.#fail("toGuest")
      if (this.#backlog.skipped !== this.#skipped) this.#countSkipped()
      if (this.#backlog.isEmpty || this.#armToGuest(1) <= 0) break
    }
    if (this.isCongested) return false
    if (this.#toGuestArmed && this.#toGuest >= 0) this.#armToGuest(0)
    return true
  }

  /** Releases the rings. They are not closed, and others may be used later. */
  close(): void {
    this.isPaused = false
    this.useRing("fromGuest", -1)
    this.useRing("toGuest", -1)
    this.forgetGuest()
  }

  /** Fills the batch. Returns the arena offset behind the frames. */
  #hand(batch: FrameBatch, count: number): number {
    const { words, view } = this.arena
    const header = this.#headerBytes
    let offset = this.#frames
    let kept = 0
    for (let index = 0; index < count; index++) {
      const length = words[(this.#lengths >> 2) + index]
      if (length < header + ETHERNET_HEADER_LENGTH) {
        this.#reasons.count(length === 0 ? this.#reasons.unreadable : this.#reasons.short, 1)
      } else {
        batch.offset[kept] = offset + header
        batch.length[kept] = length - header
        readVirtioHeader(view, offset, batch, kept)
        const reason = this.#check(offset, batch, kept)
        if (reason === undefined) kept += 1
        else this.#reasons.count(reason, 1)
      }
      offset += (length + 63) & -64
    }
    batch.count = kept
    return offset
  }

  /** Checks a header of the guest, 5.1.6.2.1. Returns a reason to drop the frame, if there is one. */
  #check(header: number, batch: FrameBatch, index: number): DropReason | undefined {
    const { view } = this.arena
    const needsChecksum = (view.getUint8(header) & VirtioFlag.needsChecksum) !== 0
    // That a checksum was verified is for frames to the guest only.
    batch.checksumTrusted[index] = needsChecksum ? 1 : 0
    const type = view.getUint8(header + 1)
    if (this.#offloads.fromGuest[type] === 0) return this.#reasons.segmentation
    if (type !== VirtioSegmentation.none && (!needsChecksum || batch.segmentSize[index] === 0)) {
      return this.#reasons.segmentation
    }
    if (!needsChecksum) return undefined
    const start = batch.checksumStart[index]
    const isInside = start >= ETHERNET_HEADER_LENGTH && start + batch.checksumOffset[index] + 2 <= batch.length[index]
    return isInside && this.#offloads.checksumFromGuest ? undefined : this.#reasons.checksum
  }

  /** Sends frames with as few calls as possible. Returns the index of the first frame that the guest has no room for. */
  #give(batch: FrameBatch, first: number, last: number): number {
    let index = first
    while (index < last) {
      const count = this.#prepare(batch, index, last)
      if (count === 0) {
        this.#reasons.count(this.#reasons.notAgreed, 1)
        index += 1
        continue
      }
      const given = this.#native.ringGive(this.#toGuest, this.#vectors.offset, count)
      if (given < 0) {
        this.#fail("toGuest")
        return index
      }
      const { words } = this.arena
      const vectors = this.#vectors.offset >> 2
      for (let vector = 0; vector < given; vector++) {
        if (words[vectors + 2 * vector + 1] < 0) this.#reasons.count(this.#reasons.noBuffer, 1)
      }
      index += given
      if (given < count) break
    }
    return index
  }

  /** Makes vectors of the frames that can be sent, up to the first that can't. Returns their number. */
  #prepare(batch: FrameBatch, first: number, last: number): number {
    const { words } = this.arena
    const header = this.#headerBytes
    const most = Math.min(last - first, MOST_FRAMES)
    let word = this.#vectors.offset >> 2
    for (let count = 0; count < most; count++, word += 2) {
      const index = first + count
      if (!this.#maySend(batch, index)) return count
      words[word] = this.#writeHeader(batch, index)
      words[word + 1] = batch.length[index] + header
    }
    return most
  }

  /** Copies a frame to the backlog. Returns false if there is no room for it. */
  #keep(batch: FrameBatch, index: number): boolean {
    if (!this.#maySend(batch, index)) {
      this.#reasons.count(this.#reasons.notAgreed, 1)
      return true
    }
    return this.#backlog.put(this.#writeHeader(batch, index), batch.length[index] + this.#headerBytes)
  }

  #maySend(batch: FrameBatch, index: number): boolean {
    if (this.#offloads.toGuest[batch.segmentation[index]] === 0) return false
    return batch.checksumStart[index] === 0 || this.#offloads.checksumToGuest
  }

  /** Returns the arena offset of the header. */
  #writeHeader(batch: FrameBatch, index: number): number {
    const header = this.#headerBytes
    const at = batch.offset[index] - header
    writeVirtioHeader(this.arena.view, at, header, batch, index)
    // 5.1.6.4.1: 1 also where chains aren't merged. Where they are, the addon stores their number.
    if (header > CHAINS_AT) this.arena.view.setUint16(at + CHAINS_AT, 1, true)
    return at
  }

  #armFromGuest(wanted: number): number {
    this.#fromGuestArmed = wanted > 0
    const result = this.#native.ringArm(this.#fromGuest, wanted)
    if (result < 0) this.#fail("fromGuest")
    return result
  }

  #armToGuest(wanted: number): number {
    this.#toGuestArmed = wanted > 0
    const result = this.#native.ringArm(this.#toGuest, wanted)
    if (result < 0) this.#fail("toGuest")
    return result
  }

  #fail(name: RingName): void {
    this.useRing(name, -1)
    this.#faulty = name
    if (name === "toGuest") this.forgetGuest()
  }

  #countSkipped(): void {
    this.#reasons.count(this.#reasons.noBuffer, this.#backlog.skipped - this.#skipped)
    this.#skipped = this.#backlog.skipped
  }
}

/** Why frames are lost. */
class Reasons {
  readonly noGuest: DropReason
  readonly disabled: DropReason
  readonly short: DropReason
  readonly unreadable: DropReason
  readonly segmentation: DropReason
  readonly checksum: DropReason
  readonly notAgreed: DropReason
  readonly noBuffer: DropReason
  readonly #drops: Drops | undefined

  constructor(drops: Drops | undefined) {
    const reason = (name: string): DropReason => drops?.reason(`link: ${name}`) ?? NOT_COUNTED
    this.#drops = drops
    this.noGuest = reason("no guest")
    this.disabled = reason("the guest's queue is disabled")
    this.short = reason("shorter than an Ethernet header")
    this.unreadable = reason("without a readable buffer, or too long")
    this.segmentation = reason("impossible segmentation")
    this.checksum = reason("checksum outside of the frame")
    this.notAgreed = reason("offload that the guest doesn't take")
    this.noBuffer = reason("longer than the guest's buffers")
  }

  count(reason: DropReason, packets: number): void {
    this.#drops?.count(reason, packets)
  }
}

const NOT_COUNTED = 0 as DropReason
