/**
 * The pair of rings of a network device, and the descriptors for its events.
 *
 * A ring runs once the front end has described it and set its kick: before that, and after the front end has asked for
 * its base, it is stopped. (The protocol starts it with the first kick, which a front end may have given before.) A change
 * of memory, features or addresses closes running rings, and reopens them at the same index. Each call of the addon
 * finishes the chains that it takes, so nothing is ever in flight between calls.
 */
import { Errno } from "@demiflow/core"
import { EpollEvent, type EventLoop, FileCommand, type Native, OpenFlag, RingFlag, SystemError } from "@demiflow/sys"
import { hasFeature, VhostUserFeature } from "./features.ts"
import type { GuestMemory } from "./memory.ts"
import { GuestRing } from "./ring.ts"
import { Refusal, Violation } from "./vhost-user-end.ts"
import type { VhostUserLink } from "./vhost-user-link.ts"

/** The numbers of the rings: virtio 1.3, section 5.1.2. The guest receives by the first. */
const TO_GUEST = 0
const FROM_GUEST = 1
const POLL_MILLISECONDS = 1

/** Called when a ring may have something: frames of the guest, or buffers for frames to it. */
export interface RingHooks {
  onFramesFromGuest(): void
  onRoomToGuest(): void
}

/** Both rings, as a front end has set them up. */
export class RingPair {
  /** Features of the device that were agreed on. Set while rings are closed: see {@link RingPair.changing}. */
  features = 0n
  readonly #native: Native
  readonly #loop: EventLoop
  readonly #link: VhostUserLink
  readonly #memory: GuestMemory
  readonly #hooks: RingHooks
  readonly #rings: readonly [GuestRing, GuestRing]
  #timer: NodeJS.Timeout | undefined

  constructor(native: Native, loop: EventLoop, link: VhostUserLink, memory: GuestMemory, hooks: RingHooks) {
    this.#native = native
    this.#loop = loop
    this.#link = link
    this.#memory = memory
    this.#hooks = hooks
    this.#rings = [new GuestRing(native, link.arena, TO_GUEST), new GuestRing(native, link.arena, FROM_GUEST)]
  }

  /** True if both rings run and are enabled. */
  get isRunning(): boolean {
    return this.#rings.every((ring) => ring.isOpen && this.#isEnabled(ring))
  }

  /** True if the guest's frames are to be discarded: virtio-net devices go on while their rings are disabled. */
  get discards(): boolean {
    const ring = this.#rings[FROM_GUEST]
    return ring.isOpen && !this.#isEnabled(ring)
  }

  /** Reports to the front end that a ring is unusable. */
  signalError(index: number, scratchOffset: number): void {
    const { error } = this.#rings[index]
    if (error < 0) return
    this.#link.arena.view.setBigUint64(scratchOffset, 1n, true)
    this.#native.write(error, scratchOffset, 8)
  }

  /** The number of the addon's ring by its index. */
  numberOf(index: number): number {
    return this.#rings[index].number
  }

  /** The ring with a number. Throws {@link Violation} if there is none. */
  at(index: number): GuestRing {
    if (index >= this.#rings.length) throw new Violation(`ring ${index}, and there are ${this.#rings.length}`)
    return this.#rings[index]
  }

  /** Disables both. */
  disable(): void {
    this.changing(() => {
      for (const ring of this.#rings) ring.isEnabled = false
    })
  }

  /** Stops both. */
  stop(): void {
    for (const ring of this.#rings) this.stopOne(ring)
  }

  /** Stops both, and forgets what the front end has described, but not its descriptors. */
  reset(): void {
    this.stop()
    for (const ring of this.#rings) ring.reset()
  }

  /** Forgets the front end, and closes everything of it. */
  close(): void {
    this.reset()
    for (const ring of this.#rings) {
      ring.setCall(-1)
      ring.setError(-1)
    }
  }

  /** Starts a ring, whose kicks come by the descriptor, or are polled for (-1). Takes over the descriptor. */
  setKick(ring: GuestRing, descriptor: number): void {
    this.#dropKick(ring)
    ring.isPolled = descriptor < 0
    ring.isStarted = true
    this.#updateTimer()
    try {
      this.openComplete()
      if (descriptor >= 0) this.#watchKick(ring, descriptor)
    } catch (error) {
      if (descriptor >= 0 && ring.kick !== descriptor) this.#native.close(descriptor)
      throw error
    }
  }

  /** Sets the descriptor by which the guest is notified, or none (-1). Takes it over. */
  setCall(ring: GuestRing, descriptor: number): void {
    this.#makeWritable(descriptor)
    ring.setCall(descriptor)
  }

  /** Sets the descriptor by which the front end learns that a ring is unusable, or none (-1). Takes it over. */
  setError(ring: GuestRing, descriptor: number): void {
    this.#makeWritable(descriptor)
    ring.setError(descriptor)
  }

  /** It is never read: each write to it is reported once, whatever its value. */
  #watchKick(ring: GuestRing, descriptor: number): void {
    this.#watch(descriptor, EpollEvent.readable | EpollEvent.edgeTriggered, () => this.#onKick(ring))
    ring.kick = descriptor
  }

  /**
   * Makes writes non-blocking, until the front end undoes that: the mode belongs to the open file, which it shares. What
   * can't be watched, such as a file, would block in spite of it.
   */
  #makeWritable(descriptor: number): void {
    if (descriptor < 0) return
    try {
      this.#makeNonBlocking(descriptor)
    } catch (error) {
      this.#native.close(descriptor)
      throw error
    }
  }

  #makeNonBlocking(descriptor: number): void {
    this.#watch(descriptor, 0, () => {})
    this.#loop.unwatch(descriptor)
    const flags = this.#native.fileControl(descriptor, FileCommand.getStatusFlags, 0)
    const result =
      flags < 0 ? flags : this.#native.fileControl(descriptor, FileCommand.setStatusFlags, flags | OpenFlag.nonBlocking)
    if (result < 0) throw new Refusal(new SystemError("prepare a descriptor for events", result).message)
  }

  #watch(descriptor: number, events: number, callback: () => void): void {
    try {
      this.#loop.watchDescriptor(descriptor, events, callback)
    } catch (error) {
      this.#loop.forget(descriptor)
      if (!(error instanceof SystemError)) throw error
      if (error.errno === Errno.EPERM) throw new Refusal("a descriptor for events can't be watched")
      throw new Refusal(error.message)
    }
  }

  #onKick(ring: GuestRing): void {
    if (!ring.isOpen) return
    if (ring.index === TO_GUEST) this.#hooks.onRoomToGuest()
    else if (this.#isEnabled(ring)) this.#hooks.onFramesFromGuest()
    else this.#link.discard()
  }

  #poll(): void {
    for (const ring of this.#rings) {
      if (ring.isPolled && ring.isOpen && this.#native.ringHas(ring.number) !== 0) this.#onKick(ring)
    }
  }

  /** Stops a ring: it starts again with another kick. */
  stopOne(ring: GuestRing): void {
    ring.close()
    ring.isStarted = false
    ring.isPolled = false
    this.#dropKick(ring)
    this.#show(ring)
    this.#updateTimer()
  }

  /** It runs while a ring is polled. */
  #updateTimer(): void {
    if (this.#rings.some(({ isPolled }) => isPolled)) {
      this.#timer ??= setInterval(() => this.#poll(), POLL_MILLISECONDS)
      return
    }
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #dropKick(ring: GuestRing): void {
    if (ring.kick < 0) return
    this.#loop.unwatch(ring.kick)
    this.#native.close(ring.kick)
    ring.kick = -1
  }

  /** Does what open rings don't allow: closes them before, and opens them after. */
  changing(change: () => void): void {
    for (const ring of this.#rings) {
      ring.close()
      this.#show(ring)
    }
    try {
      change()
    } catch (error) {
      this.#reopen()
      throw error
    }
    this.openComplete()
  }

  /** Opens rings again after a change that failed, whose error is the one to report. */
  #reopen(): void {
    try {
      this.openComplete()
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
    }
  }

  /** Opens the rings that can run and don't yet. */
  openComplete(): void {
    const { log, indirect, eventIndex } = VhostUserFeature
    const has = (bit: number): boolean => hasFeature(this.features, bit)
    let flags = has(eventIndex) ? RingFlag.eventIndex : 0
    if (has(indirect)) flags |= RingFlag.indirect
    if (has(log)) flags |= RingFlag.log
    for (const ring of this.#rings) {
      if (ring.isOpen || !ring.isComplete) continue
      const chainsAt = ring.index === TO_GUEST ? this.#link.chainsAt : -1
      ring.open(this.#memory.number, flags, has(log) ? RingFlag.logUsed : 0, chainsAt)
      this.#show(ring)
    }
  }

  /** Gives the link the ring as it is now. One that is disabled takes no frames; the guest's are discarded. */
  #show(ring: GuestRing): void {
    if (ring.index === FROM_GUEST) this.#link.useRing("fromGuest", ring.number)
    else this.#link.useRing("toGuest", this.#isEnabled(ring) ? ring.number : -1)
  }

  /** Without features of the protocol, a ring is enabled from its start. */
  #isEnabled(ring: GuestRing): boolean {
    return ring.isEnabled ?? !hasFeature(this.features, VhostUserFeature.protocolFeatures)
  }
}
