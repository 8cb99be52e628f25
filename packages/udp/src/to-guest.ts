import {
  type Arena,
  type Components,
  DatagramBatch,
  Demiflow,
  Errno,
  IPV4_HEADER_LENGTH,
  IPV6_HEADER_LENGTH,
  IpProtocol,
  UDP_CHECKSUM,
  UDP_HEADER_LENGTH,
  UDP_LENGTH,
  UDP_SOURCE_PORT,
  UDP_TARGET_PORT,
} from "@demiflow/core"
import type { ErrorRelay } from "./error-relay.ts"
import { LARGEST_PAYLOAD, NOTHING_WHOLE, putTogether, wholeLength } from "./leaving-together.ts"
import type { UdpReasons } from "./reasons.ts"
import type { UdpFlow } from "./state.ts"
import { BUDGET_BYTES, BUDGET_DATAGRAMS, BUDGET_ERRORS, LARGEST_BURST, SMALLEST_BURST } from "./turn-budget.ts"
import type { WaitingPlace } from "./waiting-sources.ts"

/** Milliseconds until the link is asked again for room. */
const ROOM_PAUSE = 1
/** Bytes that are passed on before the link is given them, so that it can say that it has had enough. */
const FLUSH_BYTES = 512 * 1024

/**
 * Receives from sockets of flows, straight behind room for the headers towards the guest. Datagrams of one size that
 * arrive together leave together, if the link cuts them.
 *
 * A flow that has used up its budget, or finds the guest congested or no room towards it, waits. What isn't received
 * meanwhile stays in the kernel's buffer.
 */
export class ToGuest {
  readonly #components: Components
  readonly #arena: Arena
  readonly #reasons: UdpReasons
  readonly #errors: ErrorRelay
  readonly #tap = new Demiflow()
  readonly #batch = new DatagramBatch(LARGEST_BURST)
  readonly #waiting: WaitingPlace<UdpFlow>
  #unflushed = 0

  constructor(components: Components, reasons: UdpReasons, errors: ErrorRelay, waiting: WaitingPlace<UdpFlow>) {
    this.#components = components
    this.#arena = components.arena
    this.#reasons = reasons
    this.#errors = errors
    this.#waiting = waiting
  }

  /** Passes on what waits in a flow's socket, within its budget. */
  drain(flow: UdpFlow): void {
    const { guest, host, flows, clock } = this.#components
    const batch = this.#batch
    flows.readSide(flow.tapSide, this.#tap)
    let wanted = flow.burst === 0 ? SMALLEST_BURST : flow.burst
    let datagrams = 0
    let bytes = 0
    let errors = 0
    for (;;) {
      if (guest.isCongested) {
        this.#wait(flow, wanted, clock.now)
        return
      }
      const asked = this.#reserve(wanted)
      if (asked === 0) {
        this.#wait(flow, wanted, clock.now + ROOM_PAUSE)
        return
      }
      const start = batch.offset[0] - UDP_HEADER_LENGTH
      const received = host.receiveDatagrams(flow.socket, batch, asked)
      if (received <= 0) {
        guest.abandon(start)
        flow.burst = 0
        if (received === 0 || received === -Errno.EAGAIN) return
        this.#errors.drain(flow)
        if (++errors === BUDGET_ERRORS) {
          this.#wait(flow, 0, clock.now)
          return
        }
        continue
      }
      if (received < asked) guest.abandon(batch.offset[received] - UDP_HEADER_LENGTH)
      flow.lastActivity = clock.now
      if (!flow.beganOnHost) flow.hasReply = true
      const passed = this.#passAll(received)
      bytes += passed
      this.#flushAfter(passed)
      if (received < asked) {
        flow.burst = 0
        return
      }
      datagrams += received
      wanted = Math.min(wanted * 2, LARGEST_BURST)
      if (datagrams >= BUDGET_DATAGRAMS || bytes >= BUDGET_BYTES) {
        this.#wait(flow, wanted, clock.now)
        return
      }
    }
  }

  /**
   * Passes on a datagram that isn't in a packet yet, or several of `segmentSize` bytes left together.
   *
   * @param offset of the payload in the arena
   * @param length bytes, more than {@link LARGEST_PAYLOAD} if its end was cut off
   */
  copy(flow: UdpFlow, offset: number, length: number, segmentSize: number, trafficClass: number): void {
    const { clock, drops, flows, guest } = this.#components
    flow.lastActivity = clock.now
    if (!flow.beganOnHost) flow.hasReply = true
    flows.readSide(flow.tapSide, this.#tap)
    const there = Math.min(length, LARGEST_PAYLOAD)
    const packet = this.#beginPacket(UDP_HEADER_LENGTH + there)
    if (packet < 0) {
      drops.count(this.#reasons.noRoom)
      return
    }
    this.#arena.copy(offset, packet + UDP_HEADER_LENGTH, there)
    if (!this.#pass(packet, length, segmentSize, trafficClass)) guest.abandon(packet)
    this.#flushAfter(there)
  }

  #wait(flow: UdpFlow, burst: number, until: number): void {
    flow.burst = burst
    this.#waiting.wait(flow, until)
  }

  /** Hands packets to the link from time to time. */
  #flushAfter(bytes: number): void {
    this.#unflushed += bytes
    if (this.#unflushed < FLUSH_BYTES) return
    this.#unflushed = 0
    this.#components.guest.flush()
  }

  /** Begins packets to receive into; answers how many of those wanted there was room for. */
  #reserve(wanted: number): number {
    const guest = this.#components.guest
    const batch = this.#batch
    for (let count = 0; count < wanted; count++) {
      const room = UDP_HEADER_LENGTH + LARGEST_PAYLOAD
      const offset = count === 0 ? this.#beginPacket(room) : guest.begin(this.#tap, IpProtocol.udp, room)
      if (offset < 0) return count
      batch.offset[count] = offset + UDP_HEADER_LENGTH
      batch.length[count] = LARGEST_PAYLOAD
    }
    return wanted
  }

  /** Begins a packet while none is open. */
  #beginPacket(room: number): number {
    const guest = this.#components.guest
    const offset = guest.begin(this.#tap, IpProtocol.udp, room)
    if (offset >= 0) return offset
    guest.flush()
    return guest.begin(this.#tap, IpProtocol.udp, room)
  }

  /** Passes on what was received, and answers how many bytes. */
  #passAll(received: number): number {
    const batch = this.#batch
    let bytes = 0
    let unused = -1
    for (let index = 0, next = 0; index < received; index = next) {
      next = this.#linkCuts(batch.segmentSize[index] || batch.length[index])
        ? putTogether(this.#arena, batch, index, received)
        : index + 1
      bytes += batch.length[index]
      const isPassed = this.#pass(
        batch.offset[index] - UDP_HEADER_LENGTH,
        batch.length[index],
        batch.segmentSize[index],
        batch.trafficClass[index],
      )
      const firstUnused = isPassed ? index + 1 : index
      if (unused < 0 && firstUnused < next) unused = batch.offset[firstUnused] - UDP_HEADER_LENGTH
    }
    if (unused >= 0) this.#components.guest.abandon(unused)
    return bytes
  }

  #linkCuts(segmentSize: number): boolean {
    const { capabilities, mtu } = this.#components.guest
    if (!capabilities.udpSegmentation || !capabilities.checksumOffload) return false
    const ipLength = this.#tap.isV4 ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH
    return ipLength + UDP_HEADER_LENGTH + segmentSize <= mtu
  }

  /**
   * Finishes an entry in its packet: one datagram, or several of `segmentSize` bytes left together, for the guest's side to
   * cut. False if it can't be passed on.
   */
  #pass(offset: number, length: number, segmentSize: number, trafficClass: number): boolean {
    const { drops, guest } = this.#components
    const whole = wholeLength(length, segmentSize)
    if (whole < length) drops.count(this.#reasons.oversized)
    if (whole === NOTHING_WHOLE) return false
    const view = this.#arena.view
    view.setUint16(offset + UDP_SOURCE_PORT, this.#tap.forwardingPort)
    view.setUint16(offset + UDP_TARGET_PORT, this.#tap.correspondentPort)
    view.setUint16(offset + UDP_LENGTH, UDP_HEADER_LENGTH + whole)
    const size = segmentSize < whole ? segmentSize : 0
    guest.end(offset, UDP_HEADER_LENGTH + whole, UDP_CHECKSUM, size, UDP_HEADER_LENGTH, trafficClass)
    return true
  }
}
