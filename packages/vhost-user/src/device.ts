/**
 * The device that a front end configures by messages: features, memory, and one pair of rings. It reads messages, checks
 * them, and answers.
 */
import type { EventLoop, Native } from "@demiflow/sys"
import { hasFeature, ProtocolFeature } from "./features.ts"
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
import type { GuestRing } from "./ring.ts"
import { type RingHooks, RingPair } from "./ring-pair.ts"
import { Refusal, Violation } from "./vhost-user-end.ts"
import type { VhostUserLink } from "./vhost-user-link.ts"

/** Pairs of rings. */
const PAIRS = 1
/** Regions that the addon maps. */
const MEMORY_SLOTS = 512
/** Smallest MTU of IPv4, RFC 791. */
const SMALLEST_MTU = 68

/** The state that a front end has set up. */
export class Device {
  readonly #native: Native
  readonly #link: VhostUserLink
  readonly #socket: MessageSocket
  readonly #offered: bigint
  readonly #offeredOfProtocol: bigint
  readonly #rings: RingPair
  readonly #memory: GuestMemory
  #protocolFeatures = 0n
  #status = 0

  constructor(
    native: Native,
    loop: EventLoop,
    link: VhostUserLink,
    socket: MessageSocket,
    offered: bigint,
    offeredOfProtocol: bigint,
    hooks: RingHooks,
  ) {
    this.#native = native
    this.#link = link
    this.#socket = socket
    this.#offered = offered
    this.#offeredOfProtocol = offeredOfProtocol
    this.#memory = new GuestMemory(native, link.arena)
    this.#rings = new RingPair(native, loop, link, this.#memory, hooks)
  }

  /** The rings that it has set up. */
  get rings(): RingPair {
    return this.#rings
  }

  /** True if replies were agreed on. */
  get repliesWhenAsked(): boolean {
    return hasFeature(this.#protocolFeatures, ProtocolFeature.replies)
  }

  /** Begins with a new front end. Throws a `SystemError` if there can't be another map of guest memory. */
  open(): void {
    this.#memory.open()
  }

  /** Forgets the front end, and closes everything of it. */
  close(): void {
    this.#rings.close()
    this.#memory.close()
    this.#forgetFeatures()
    this.#protocolFeatures = 0n
    this.#status = 0
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
        this.#rings.disable()
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
        this.#withDescriptors(1, ([descriptor]) => this.#rings.changing(() => this.#memory.add(region, descriptor)))
        return 0
      case Request.removeMemoryRegion:
        this.#require(ProtocolFeature.memorySlots)
        this.#rings.changing(() => this.#memory.remove(region))
        return 0
      case Request.setLogBase:
        this.#require(ProtocolFeature.logDescriptor)
        this.#expectDescriptors(1)
        this.#rings.changing(() => this.#memory.setLog(payload, this.#socket.takeDescriptor()))
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
        this.#rings.openComplete()
        return 0
      }
      case Request.setRingBase:
        this.#stoppedRing(request).base = this.#baseFrom(view.getUint32(payload + 4, true))
        return 0
      case Request.setRingAddresses: {
        const ring = this.#rings.at(view.getUint32(payload, true))
        this.#rings.changing(() => ring.setAddresses(payload))
        return 0
      }
      case Request.getRingBase: {
        const ring = this.#rings.at(view.getUint32(payload, true))
        this.#rings.stopOne(ring)
        view.setUint32(this.#socket.replyPayload, ring.index, true)
        view.setUint32(this.#socket.replyPayload + 4, ring.base, true)
        return 8
      }
      case Request.setRingEnabled: {
        const ring = this.#rings.at(view.getUint32(payload, true))
        const value = view.getUint32(payload + 4, true)
        if (value > 1) throw new Violation(`SET_VRING_ENABLE with ${value}`)
        this.#rings.changing(() => {
          ring.isEnabled = value === 1
        })
        return 0
      }
      case Request.setRingKick: {
        const { ring, descriptor } = this.#ringAndDescriptor()
        this.#rings.setKick(ring, descriptor)
        return 0
      }
      case Request.setRingCall: {
        const { ring, descriptor } = this.#ringAndDescriptor()
        this.#rings.setCall(ring, descriptor)
        return 0
      }
      case Request.setRingError: {
        const { ring, descriptor } = this.#ringAndDescriptor()
        this.#rings.setError(ring, descriptor)
        return 0
      }
      default:
        throw new Refusal(`request ${request} is not supported`)
    }
  }

  #setFeatures(features: bigint): void {
    const unknown = features & ~this.#offered
    if (unknown !== 0n) throw new Violation(`it acknowledged features that weren't offered: 0x${unknown.toString(16)}`)
    this.#rings.changing(() => {
      this.#rings.features = features
      this.#link.agree(features)
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
    if (status === 0) this.#rings.stop()
  }

  #reset(): void {
    this.#status = 0
    this.#rings.reset()
    this.#forgetFeatures()
  }

  #forgetFeatures(): void {
    this.#rings.features = 0n
    this.#link.agree(0n)
  }

  #setMemoryTable(): void {
    const { payload, payloadBytes } = this.#socket
    const count = this.#link.arena.view.getUint32(payload, true)
    if (count > TABLE_REGIONS || payloadBytes < TABLE_HEADER_BYTES + count * REGION_BYTES) {
      throw new Violation(`a memory table of ${count} regions in ${payloadBytes} bytes`)
    }
    this.#withDescriptors(count, (descriptors) => {
      this.#rings.changing(() => this.#memory.replace(payload + TABLE_HEADER_BYTES, descriptors))
    })
  }

  #stoppedRing(request: number): GuestRing {
    const ring = this.#rings.at(this.#link.arena.view.getUint32(this.#socket.payload, true))
    if (ring.isOpen) throw new Refusal(`${LAYOUTS.get(request)?.name} of ring ${ring.index}, which is running`)
    return ring
  }

  #baseFrom(base: number): number {
    if (base > 0xffff) throw new Violation(`a ring's base of ${base}`)
    return base
  }

  /** The ring of a message about events, and the descriptor that came with it; -1 if none is meant to. */
  #ringAndDescriptor(): { ring: GuestRing; descriptor: number } {
    const value = Number(this.#payloadNumber() & 0xffffffffn)
    const hasDescriptor = (value & NO_DESCRIPTOR) === 0
    this.#expectDescriptors(hasDescriptor ? 1 : 0)
    const ring = this.#rings.at(value & RING_MASK)
    return { ring, descriptor: hasDescriptor ? this.#socket.takeDescriptor() : -1 }
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
