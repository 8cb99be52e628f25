/**
 * The device that a front end configures: features, memory, and one pair of rings.
 *
 * A ring runs once the front end has described it and set its kick: before that, and after the front end has asked for
 * its base, it is stopped. (The protocol starts it with the first kick, which a front end may have given before.) A change
 * of memory, features or addresses closes running rings, and reopens them at the same index. Each call of the addon finishes the chains that it takes, so nothing is ever
 * in flight between calls.
 */
import { Errno } from "@demiflow/core"
import { EpollEvent, type EventLoop, FileCommand, type Native, OpenFlag, RingFlag, SystemError } from "@demiflow/sys"
import { hasFeature, ProtocolFeature, VhostUserFeature } from "./features.ts"
import { GuestMemory } from "./memory.ts"
import type { MessageSocket } from "./message-socket.ts"
import {
  LAYOUTS,
  NO_DESCRIPTOR,
  REGION_BYTES,
  Request,
  RING_MASK,
  SINGLE_REGION_PADDING,
  TABLE_HEADER_BYTES,
  TABLE_REGIONS,
} from "./messages.ts"
import { GuestRing } from "./ring.ts"
import { Refusal, Violation } from "./vhost-user-end.ts"
import type { VhostUserLink } from "./vhost-user-link.ts"

/** The numbers of the rings: virtio 1.3, section 5.1.2. The guest receives by the first. */
const TO_GUEST = 0
const FROM_GUEST = 1
/** Pairs of rings. */
const PAIRS = 1
/** Regions that the addon maps. */
const MEMORY_SLOTS = 512
/** Smallest MTU of IPv4, RFC 791. */
const SMALLEST_MTU = 68
const POLL_MILLISECONDS = 1

/** Called when a ring may have something: frames of the guest, or buffers for frames to it. */
export interface DeviceHooks {
  onFramesFromGuest(): void
  onRoomToGuest(): void
}

/** The state that a front end has set up. */
export class Device {
  readonly #native: Native
  readonly #loop: EventLoop
  readonly #link: VhostUserLink
  readonly #socket: MessageSocket
  readonly #hooks: DeviceHooks
  readonly #offered: bigint
  readonly #offeredOfProtocol: bigint
  readonly #rings: readonly [GuestRing, GuestRing]
  readonly #memory: GuestMemory
  #features = 0n
  #protocolFeatures = 0n
  #status = 0
  #timer: NodeJS.Timeout | undefined
  #capabilitiesChanged = false

  constructor(
    native: Native,
    loop: EventLoop,
    link: VhostUserLink,
    socket: MessageSocket,
    offered: bigint,
    offeredOfProtocol: bigint,
    hooks: DeviceHooks,
  ) {
    this.#native = native
    this.#loop = loop
    this.#link = link
    this.#socket = socket
    this.#offered = offered
    this.#offeredOfProtocol = offeredOfProtocol
    this.#hooks = hooks
    this.#memory = new GuestMemory(native, link.arena)
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

  /** True if replies were agreed on. */
  get repliesWhenAsked(): boolean {
    return hasFeature(this.#protocolFeatures, ProtocolFeature.replies)
  }

  /** Returns true once after the capabilities of the link have changed. */
  takeCapabilitiesChanged(): boolean {
    const changed = this.#capabilitiesChanged
    this.#capabilitiesChanged = false
    return changed
  }

  /** Begins with a new front end. Throws a `SystemError` if there can't be another map of guest memory. */
  open(): void {
    this.#memory.open()
  }

  /** Forgets the front end, and closes everything of it. */
  close(): void {
    for (const ring of this.#rings) {
      this.#stop(ring)
      ring.setCall(-1)
      ring.setError(-1)
      ring.reset()
    }
    this.#memory.close()
    this.#forgetFeatures()
    this.#protocolFeatures = 0n
    this.#status = 0
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

  /**
   * Does what the message that was read asks for. Returns the bytes of its own reply, which are written already. Throws
   * {@link Violation} or {@link Refusal}.
   */
  perform(request: number): number {
    switch (request) {
      case Request.getFeatures:
        return this.#answer(this.#offered)
      case Request.setFeatures:
        this.#setFeatures(this.#payloadNumber())
        return 0
      case Request.getProtocolFeatures:
        return this.#answer(this.#offeredOfProtocol)
      case Request.setProtocolFeatures:
        this.#setProtocolFeatures(this.#payloadNumber())
        return 0
      case Request.setOwner:
        return 0
      case Request.resetOwner:
        // Deprecated: may disable the rings, and leaves the rest alone.
        this.#changing(() => {
          for (const ring of this.#rings) ring.isEnabled = false
        })
        return 0
      case Request.resetDevice:
        this.#require(ProtocolFeature.reset)
        this.#reset()
        return 0
      case Request.getQueueCount:
        this.#require(ProtocolFeature.queueCount)
        return this.#answer(BigInt(PAIRS))
      case Request.setMtu:
        this.#require(ProtocolFeature.mtu)
        this.#checkMtu(this.#payloadNumber())
        return 0
      case Request.setStatus:
        this.#require(ProtocolFeature.status)
        this.#setStatus(Number(this.#payloadNumber() & 0xffn))
        return 0
      case Request.getStatus:
        this.#require(ProtocolFeature.status)
        return this.#answer(BigInt(this.#status))
      default:
        return this.#performForMemory(request)
    }
  }

  #performForMemory(request: number): number {
    const { payload } = this.#socket
    const region = payload + SINGLE_REGION_PADDING
    switch (request) {
      case Request.setMemoryTable:
        this.#setMemoryTable()
        return 0
      case Request.getMemorySlots:
        this.#require(ProtocolFeature.memorySlots)
        return this.#answer(BigInt(MEMORY_SLOTS))
      case Request.addMemoryRegion:
        this.#require(ProtocolFeature.memorySlots)
        this.#withDescriptors(1, ([descriptor]) => this.#changing((memory) => memory.add(region, descriptor)))
        return 0
      case Request.removeMemoryRegion:
        this.#require(ProtocolFeature.memorySlots)
        this.#changing((memory) => memory.remove(region))
        return 0
      case Request.setLogBase:
        this.#require(ProtocolFeature.logDescriptor)
        this.#expectDescriptors(1)
        this.#changing((memory) => memory.setLog(payload, this.#socket.takeDescriptor()))
        return this.#answer(0n)
      case Request.setLogDescriptor:
        // By it, the front end could be notified of writes to the log. It may stay unused.
        return 0
      default:
        return this.#performForRing(request)
    }
  }

  #performForRing(request: number): number {
    const { view } = this.#link.arena
    const { payload } = this.#socket
    switch (request) {
      case Request.setRingEntries: {
        const ring = this.#stoppedRing(request)
        const entries = view.getUint32(payload + 4, true)
        if (!ring.setEntries(entries)) throw new Violation(`a ring of ${entries} entries`)
        this.#openComplete()
        return 0
      }
      case Request.setRingBase:
        this.#stoppedRing(request).base = this.#baseFrom(view.getUint32(payload + 4, true))
        return 0
      case Request.setRingAddresses: {
        const ring = this.#ringOf(view.getUint32(payload, true))
        this.#changing(() => ring.setAddresses(payload))
        return 0
      }
      case Request.getRingBase: {
        const ring = this.#ringOf(view.getUint32(payload, true))
        this.#stop(ring)
        view.setUint32(this.#socket.replyPayload, ring.index, true)
        view.setUint32(this.#socket.replyPayload + 4, ring.base, true)
        return 8
      }
      case Request.setRingEnabled: {
        const ring = this.#ringOf(view.getUint32(payload, true))
        const value = view.getUint32(payload + 4, true)
        if (value > 1) throw new Violation(`SET_VRING_ENABLE with ${value}`)
        this.#changing(() => {
          ring.isEnabled = value === 1
        })
        return 0
      }
      case Request.setRingKick:
        this.#setKick()
        return 0
      case Request.setRingCall:
        this.#setEvent((ring, descriptor) => ring.setCall(descriptor))
        return 0
      case Request.setRingError:
        this.#setEvent((ring, descriptor) => ring.setError(descriptor))
        return 0
      default:
        throw new Refusal(`request ${request} is not supported`)
    }
  }

  #setFeatures(features: bigint): void {
    const unknown = features & ~this.#offered
    if (unknown !== 0n) throw new Violation(`it acknowledged features that weren't offered: 0x${unknown.toString(16)}`)
    this.#changing(() => {
      this.#features = features
      if (this.#link.agree(features)) this.#capabilitiesChanged = true
    })
  }

  #setProtocolFeatures(features: bigint): void {
    const unknown = features & ~this.#offeredOfProtocol
    if (unknown !== 0n) {
      throw new Violation(`it acknowledged protocol features that weren't offered: 0x${unknown.toString(16)}`)
    }
    this.#protocolFeatures = features
  }

  #checkMtu(mtu: bigint): void {
    const { mtu: largest } = this.#link.capabilities
    if (mtu < SMALLEST_MTU || mtu > largest) {
      throw new Refusal(`an MTU of ${mtu}: ${SMALLEST_MTU} to ${largest} are possible`)
    }
  }

  #setStatus(status: number): void {
    this.#status = status
    // Virtio 1.3, 2.1: 0 resets the device. Memory stays: front ends don't send it again.
    if (status === 0) for (const ring of this.#rings) this.#stop(ring)
  }

  #reset(): void {
    this.#status = 0
    for (const ring of this.#rings) {
      this.#stop(ring)
      ring.reset()
    }
    this.#forgetFeatures()
  }

  #forgetFeatures(): void {
    this.#features = 0n
    if (this.#link.agree(0n)) this.#capabilitiesChanged = true
  }

  #setMemoryTable(): void {
    const { payload, payloadBytes } = this.#socket
    const count = this.#link.arena.view.getUint32(payload, true)
    if (count > TABLE_REGIONS || payloadBytes < TABLE_HEADER_BYTES + count * REGION_BYTES) {
      throw new Violation(`a memory table of ${count} regions in ${payloadBytes} bytes`)
    }
    this.#withDescriptors(count, (descriptors) => {
      this.#changing((memory) => memory.replace(payload + TABLE_HEADER_BYTES, descriptors))
    })
  }

  #setKick(): void {
    const { ring, hasDescriptor } = this.#ringOfEvent()
    const descriptor = hasDescriptor ? this.#socket.takeDescriptor() : -1
    this.#dropKick(ring)
    ring.isPolled = !hasDescriptor
    ring.isStarted = true
    this.#updateTimer()
    try {
      this.#openComplete()
      if (hasDescriptor) this.#watchKick(ring, descriptor)
    } catch (error) {
      if (descriptor >= 0 && ring.kick !== descriptor) this.#native.close(descriptor)
      throw error
    }
  }

  /** It is never read: each write to it is reported once, whatever its value. */
  #watchKick(ring: GuestRing, descriptor: number): void {
    this.#watch(descriptor, EpollEvent.readable | EpollEvent.edgeTriggered, () => this.#onKick(ring))
    ring.kick = descriptor
  }

  #setEvent(set: (ring: GuestRing, descriptor: number) => void): void {
    const { ring, hasDescriptor } = this.#ringOfEvent()
    const descriptor = hasDescriptor ? this.#socket.takeDescriptor() : -1
    try {
      if (hasDescriptor) this.#makeWritable(descriptor)
    } catch (error) {
      this.#native.close(descriptor)
      throw error
    }
    set(ring, descriptor)
  }

  /**
   * Makes writes non-blocking, until the front end undoes that: the mode belongs to the open file, which it shares. What
   * can't be watched, such as a file, would block in spite of it.
   */
  #makeWritable(descriptor: number): void {
    this.#watch(descriptor, 0, () => {})
    this.#loop.unwatch(descriptor)
    const flags = this.#native.fileControl(descriptor, FileCommand.getStatusFlags, 0)
    const result = this.#native.fileControl(descriptor, FileCommand.setStatusFlags, flags | OpenFlag.nonBlocking)
    if (flags < 0 || result < 0) throw new Refusal(new SystemError("prepare a descriptor for events", result).message)
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
  #stop(ring: GuestRing): void {
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
  #changing(change: (memory: GuestMemory) => void): void {
    for (const ring of this.#rings) {
      ring.close()
      this.#show(ring)
    }
    try {
      change(this.#memory)
    } catch (error) {
      this.#reopen()
      throw error
    }
    this.#openComplete()
  }

  /** Opens rings again after a change that failed, whose error is the one to report. */
  #reopen(): void {
    try {
      this.#openComplete()
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
    }
  }

  /** Opens the rings that can run and don't yet. */
  #openComplete(): void {
    const { log, indirect, eventIndex } = VhostUserFeature
    const has = (bit: number): boolean => hasFeature(this.#features, bit)
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
    return ring.isEnabled ?? !hasFeature(this.#features, VhostUserFeature.protocolFeatures)
  }

  #ringOf(index: number): GuestRing {
    if (index >= this.#rings.length) throw new Violation(`ring ${index}, and there are ${this.#rings.length}`)
    return this.#rings[index]
  }

  #stoppedRing(request: number): GuestRing {
    const ring = this.#ringOf(this.#link.arena.view.getUint32(this.#socket.payload, true))
    if (ring.isOpen) throw new Refusal(`${LAYOUTS.get(request)?.name} of ring ${ring.index}, which is running`)
    return ring
  }

  #baseFrom(base: number): number {
    if (base > 0xffff) throw new Violation(`a ring's base of ${base}`)
    return base
  }

  #ringOfEvent(): { ring: GuestRing; hasDescriptor: boolean } {
    const value = Number(this.#payloadNumber() & 0xffffffffn)
    const hasDescriptor = (value & NO_DESCRIPTOR) === 0
    this.#expectDescriptors(hasDescriptor ? 1 : 0)
    return { ring: this.#ringOf(value & RING_MASK), hasDescriptor }
  }

  /** Closes the descriptors of the message after the work. */
  #withDescriptors(count: number, work: (descriptors: number[]) => void): void {
    this.#expectDescriptors(count)
    const descriptors = Array.from({ length: count }, () => this.#socket.takeDescriptor())
    try {
      work(descriptors)
    } finally {
      for (const descriptor of descriptors) this.#native.close(descriptor)
    }
  }

  #expectDescriptors(count: number): void {
    const { descriptorCount, request } = this.#socket
    if (descriptorCount === count) return
    throw new Violation(`${LAYOUTS.get(request)?.name} with ${descriptorCount} descriptors instead of ${count}`)
  }

  #require(protocolFeature: number): void {
    if (hasFeature(this.#offeredOfProtocol, protocolFeature)) return
    throw new Refusal(`${LAYOUTS.get(this.#socket.request)?.name} is not supported`)
  }

  #payloadNumber(): bigint {
    return this.#link.arena.view.getBigUint64(this.#socket.payload, true)
  }

  #answer(value: bigint): number {
    this.#link.arena.view.setBigUint64(this.#socket.replyPayload, value, true)
    return 8
  }
}
