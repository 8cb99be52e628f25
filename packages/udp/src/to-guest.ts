import {
  type Arena,
  type Components,
  DatagramBatch,
  Demiflow,
  Errno,
  Interface,
  IPV4_HEADER_LENGTH,
  IPV6_HEADER_LENGTH,
  IpProtocol,
  UDP_CHECKSUM,
  UDP_HEADER_LENGTH,
  UDP_LENGTH,
  UDP_SOURCE_PORT,
  UDP_TARGET_PORT,
} from "@demiflow/core"
import { GuestPort, type SharedPort, type WaitingList } from "@demiflow/protocol-kit"
import type { ErrorRelay } from "./error-relay.ts"
import type { FlowFinder } from "./flow-finder.ts"
import { datagramsIn, LARGEST_PAYLOAD, NOTHING_WHOLE, putTogether, wholeLength } from "./leaving-together.ts"
import type { SplicedFlow } from "./local/spliced-flow.ts"
import type { Splicing } from "./local/splicing.ts"
import type { Newcomers } from "./newcomers.ts"
import type { Progress } from "./progress.ts"
import type { UdpReasons } from "./reasons.ts"
import { UdpFlow } from "./state.ts"
import { BUDGET_BYTES, BUDGET_DATAGRAMS, BUDGET_ERRORS, LARGEST_BURST, SMALLEST_BURST } from "./turn-budget.ts"

/** Milliseconds until space towards the link is requested again. */
const ROOM_PAUSE = 1
/** Bytes that are delivered before a flush, so that the link can report congestion. */
const FLUSH_BYTES = 512 * 1024

/** The parts that {@link ToGuest} works with. */
export interface ToGuestParts {
  readonly components: Components
  readonly reasons: UdpReasons
  readonly errors: ErrorRelay
  readonly finder: FlowFinder
  readonly newcomers: Newcomers
  /** Undefined where there is no local path. */
  readonly splicing: Splicing | undefined
  readonly waiting: Pick<WaitingList<SharedPort>, "wait">
  readonly progress: Progress
}

/**
 * Receives from the sockets of ports, right behind space for the headers towards the guest. The flow of a datagram is
 * known only once it was received. It is mostly the one that was heard last, so the headers are written for that flow
 * beforehand, and rewritten if the guess was wrong. Adjacent datagrams of one flow and one size are coalesced, if the
 * link splits them.
 *
 * Datagrams for the local path are sent from where they were received.
 *
 * A port waits once its budget is used up, or while the guest is congested or has no room. Datagrams that aren't
 * received meanwhile stay in the kernel's buffer.
 */
export class ToGuest {
  readonly #components: Components
  readonly #arena: Arena
  readonly #reasons: UdpReasons
  readonly #errors: ErrorRelay
  readonly #finder: FlowFinder
  readonly #newcomers: Newcomers
  readonly #splicing: Splicing | undefined
  readonly #waiting: Pick<WaitingList<SharedPort>, "wait">
  readonly #progress: Progress
  /** The side that the open packets are for. */
  readonly #tap = new Demiflow()
  readonly #batch = new DatagramBatch(LARGEST_BURST)
  /** As many as the largest burst so far had. */
  readonly #ends: Demiflow[] = []
  /** The first of the packets received into that isn't needed; -1 if all are. */
  #unused = -1
  #unflushed = 0

  constructor(parts: ToGuestParts) {
    this.#components = parts.components
    this.#arena = parts.components.arena
    this.#reasons = parts.reasons
    this.#errors = parts.errors
    this.#finder = parts.finder
    this.#newcomers = parts.newcomers
    this.#splicing = parts.splicing
    this.#waiting = parts.waiting
    this.#progress = parts.progress
  }

  /** Delivers what a port's socket holds, within its budget. */
  drain(port: SharedPort): void {
    const { guest, clock } = this.#components
    const batch = this.#batch
    const { needsGuest } = port
    let wanted = port.burst === 0 ? SMALLEST_BURST : port.burst
    let datagrams = 0
    let bytes = 0
    let errors = 0
    while (port.socket >= 0) {
      while (this.#ends.length < wanted) this.#ends.push(new Demiflow(Interface.host))
      if (needsGuest && guest.isCongested) {
        this.#wait(port, wanted, clock.now)
        return
      }
      const asked = needsGuest ? this.#reserve(port, wanted) : this.#prepare(wanted)
      if (asked === 0) {
        this.#wait(port, wanted, clock.now + ROOM_PAUSE)
        return
      }
      const start = batch.offset[0] - UDP_HEADER_LENGTH
      const received = port.sockets.receiveFromAnyone(port.socket, batch, this.#ends, asked)
      if (received <= 0) {
        if (needsGuest) guest.abandon(start)
        port.burst = 0
        if (received === 0 || received === -Errno.EAGAIN) return
        this.#errors.drainPort(port)
        if (++errors === BUDGET_ERRORS) {
          this.#wait(port, 0, clock.now)
          return
        }
        continue
      }
      if (needsGuest && received < asked) guest.abandon(batch.offset[received] - UDP_HEADER_LENGTH)
      const passed = this.#passAll(port, received)
      bytes += passed
      if (needsGuest) this.#flushAfter(passed)
      if (received < asked) {
        port.burst = 0
        return
      }
      datagrams += received
      wanted = Math.min(wanted * 2, LARGEST_BURST)
      if (datagrams >= BUDGET_DATAGRAMS || bytes >= BUDGET_BYTES) {
        this.#wait(port, wanted, clock.now)
        return
      }
    }
  }

  #wait(port: SharedPort, burst: number, until: number): void {
    port.burst = burst
    this.#waiting.wait(port, until)
  }

  /** Hands packets to the link after every `FLUSH_BYTES`. */
  #flushAfter(bytes: number): void {
    this.#unflushed += bytes
    if (this.#unflushed < FLUSH_BYTES) return
    this.#unflushed = 0
    this.#components.guest.flush()
  }

  /** Prepares to receive into the local path's own space. Returns how many of the entries wanted it has. */
  #prepare(wanted: number): number {
    if (this.#splicing === undefined) return 0
    this.#splicing.relay.prepare(this.#batch, wanted)
    return wanted
  }

  /** Begins packets to receive into. Returns for how many of those wanted there was room. */
  #reserve(port: SharedPort, wanted: number): number {
    const { guest, flows } = this.#components
    const batch = this.#batch
    const room = UDP_HEADER_LENGTH + LARGEST_PAYLOAD
    if (port.heardLast >= 0) flows.readSide(port.heardLast, this.#tap)
    // However small the datagrams of a call were, they lie as far apart as the largest ones would: the rest of the region
    // is soon enough for one more only. They leave first, so that this call can receive as many.
    if (!guest.hasRoom(room, wanted)) guest.flush()
    for (let count = 0; count < wanted; count++) {
      if (!guest.hasRoom(room)) return count
      const offset = guest.begin(this.#tap, IpProtocol.udp, room)
      batch.offset[count] = offset + UDP_HEADER_LENGTH
      batch.length[count] = LARGEST_PAYLOAD
    }
    return wanted
  }

  /** Delivers what was received. Returns how many bytes went to the guest or by the local path. */
  #passAll(port: SharedPort, received: number): number {
    const ends = this.#ends
    const { scope } = this.#batch
    const begunFor = port.heardLast
    let bytes = 0
    this.#unused = -1
    if (port instanceof GuestPort) port.lastActivity = this.#components.clock.now
    for (let first = 0, next = 0; first < received; first = next) {
      next = first + 1
      while (next < received && isSameSender(ends[next], ends[first], port) && scope[next] === scope[first]) next++
      const flow = this.#flowOf(port, first, next)
      if (flow instanceof UdpFlow) {
        bytes += this.#passRun(flow, first, next, flow.tapSide !== begunFor)
        // The flow of a port that was closed is no guess: this port isn't notified when it ends.
        if (flow.port === port) port.heardLast = flow.tapSide
        continue
      }
      this.#noteUnused(this.#batch.offset[first] - UDP_HEADER_LENGTH)
      if (flow !== undefined) bytes += this.#splicing?.relay.pass(flow.initiating, this.#batch, first, next) ?? 0
    }
    if (this.#unused >= 0 && port.needsGuest) this.#components.guest.abandon(this.#unused)
    return bytes
  }

  /** Finds or begins the flow of datagrams from one sender. If that fails, they are counted as dropped. */
  #flowOf(port: SharedPort, first: number, next: number): UdpFlow | SplicedFlow | undefined {
    const ends = this.#ends[first]
    const scope = this.#batch.scope[first]
    const flow = this.#finder.heardAt(port, ends)
    if (flow === undefined) return this.#newcomers.begin(port, ends, scope, next - first)
    // The same address on another link is another node (RFC 4007, section 6).
    // RFC 4007 6 (udp) MUST: the same address on another link is another node
    if (!(flow instanceof UdpFlow) || flow.scope === scope) return flow
    this.#components.drops.count(this.#reasons.stranger, next - first)
    return undefined
  }

  /** Delivers datagrams of one flow. Returns the number of bytes. */
  #passRun(flow: UdpFlow, first: number, next: number, isOther: boolean): number {
    const { clock, flows, guest } = this.#components
    const batch = this.#batch
    const tap = this.#tap
    flows.readSide(flow.tapSide, tap)
    flow.lastActivity = clock.now
    if (flow.beganOnHost) this.#progress.initiatorHeard(flow)
    else this.#progress.targetHeard(flow, flow.port)
    let bytes = 0
    for (let index = first, after = first; index < next; index = after) {
      const packet = batch.offset[index] - UDP_HEADER_LENGTH
      if (isOther) guest.redirect(packet, tap, IpProtocol.udp)
      after = this.#linkCuts(batch.segmentSize[index] || batch.length[index])
        ? putTogether(this.#arena, batch, index, next)
        : index + 1
      bytes += batch.length[index]
      flow.packetsToGuest += datagramsIn(batch.length[index], batch.segmentSize[index])
      const isPassed = this.#pass(packet, batch.length[index], batch.segmentSize[index], batch.trafficClass[index])
      const firstUnused = isPassed ? index + 1 : index
      if (firstUnused < after) this.#noteUnused(batch.offset[firstUnused] - UDP_HEADER_LENGTH)
    }
    flow.bytesToGuest += bytes
    return bytes
  }

  #noteUnused(packet: number): void {
    if (this.#unused < 0) this.#unused = packet
  }

  #linkCuts(segmentSize: number): boolean {
    const { capabilities, mtu } = this.#components.guest
    if (!capabilities.udpSegmentation || !capabilities.checksumOffload) return false
    const ipLength = this.#tap.isV4 ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH
    return ipLength + UDP_HEADER_LENGTH + segmentSize <= mtu
  }

  /**
   * Finishes an entry in its packet: one datagram, or several coalesced ones of `segmentSize` bytes, for the guest's
   * side to split. Returns false if it can't be delivered.
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

/** True if two datagrams that a port received have the same source and the same destination. */
function isSameSender(one: Demiflow, other: Demiflow, port: SharedPort): boolean {
  return (
    one.correspondentPort === other.correspondentPort &&
    one.correspondentAddress.equals(other.correspondentAddress) &&
    // The socket of a guest's port doesn't report a datagram's destination.
    (port instanceof GuestPort || one.forwardingAddress.equals(other.forwardingAddress))
  )
}
