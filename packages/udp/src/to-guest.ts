import {
  type Arena,
  type Components,
  DatagramBatch,
  Demiflow,
  Errno,
  GuestPort,
  Interface,
  IPV4_HEADER_LENGTH,
  IPV6_HEADER_LENGTH,
  IpProtocol,
  type SharedPort,
  UDP_CHECKSUM,
  UDP_HEADER_LENGTH,
  UDP_LENGTH,
  UDP_SOURCE_PORT,
  UDP_TARGET_PORT,
} from "@demiflow/core"
import type { ErrorRelay } from "./error-relay.ts"
import type { FlowFinder } from "./flow-finder.ts"
import { LARGEST_PAYLOAD, NOTHING_WHOLE, putTogether, wholeLength } from "./leaving-together.ts"
import type { SplicedFlow } from "./local/spliced-flow.ts"
import type { Splicing } from "./local/splicing.ts"
import type { Newcomers } from "./newcomers.ts"
import type { UdpReasons } from "./reasons.ts"
import type { Scarcity } from "./scarcity.ts"
import { UdpFlow } from "./state.ts"
import { BUDGET_BYTES, BUDGET_DATAGRAMS, BUDGET_ERRORS, LARGEST_BURST, SMALLEST_BURST } from "./turn-budget.ts"
import type { WaitingPlace } from "./waiting-sources.ts"

/** Milliseconds until the link is asked again for room. */
const ROOM_PAUSE = 1
/** Bytes that are passed on before the link is given them, so that it can say that it has had enough. */
const FLUSH_BYTES = 512 * 1024

/** What {@link ToGuest} works with. */
export interface ToGuestParts {
  readonly components: Components
  readonly reasons: UdpReasons
  readonly errors: ErrorRelay
  readonly finder: FlowFinder
  readonly newcomers: Newcomers
  /** Absent where there is no local path. */
  readonly splicing: Splicing | undefined
  readonly waiting: WaitingPlace<SharedPort>
  readonly scarcity: Scarcity
}

/**
 * Receives from the sockets of ports, straight behind room for the headers towards the guest. Which flow a datagram belongs to
 * is known only once it is there: mostly to the one that was heard last, for which the headers are written beforehand.
 * Otherwise they are written anew. Neighbours of one flow and one size leave together, if the link cuts them.
 *
 * What goes by the local path is sent from where it was received.
 *
 * A port that has used up its budget, or finds the guest congested or no room towards it, waits. What isn't received
 * meanwhile stays in the kernel's buffer.
 */
export class ToGuest {
  readonly #components: Components
  readonly #arena: Arena
  readonly #reasons: UdpReasons
  readonly #errors: ErrorRelay
  readonly #finder: FlowFinder
  readonly #newcomers: Newcomers
  readonly #splicing: Splicing | undefined
  readonly #waiting: WaitingPlace<SharedPort>
  readonly #scarcity: Scarcity
  /** The side that the open packets are for. */
  readonly #tap = new Demiflow()
  readonly #batch = new DatagramBatch(LARGEST_BURST)
  readonly #ends: readonly Demiflow[] = Array.from({ length: LARGEST_BURST }, () => new Demiflow(Interface.host))
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
    this.#scarcity = parts.scarcity
  }

  /** Passes on what waits in a port's socket, within its budget. */
  drain(port: SharedPort): void {
    const { guest, clock } = this.#components
    const batch = this.#batch
    const { needsGuest } = port
    let wanted = port.burst === 0 ? SMALLEST_BURST : port.burst
    let datagrams = 0
    let bytes = 0
    let errors = 0
    while (port.socket >= 0) {
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
      const received = port.host.receiveFromAnyone(port.socket, batch, this.#ends, asked)
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

  /** Hands packets to the link from time to time. */
  #flushAfter(bytes: number): void {
    this.#unflushed += bytes
    if (this.#unflushed < FLUSH_BYTES) return
    this.#unflushed = 0
    this.#components.guest.flush()
  }

  /** Has datagrams received into the local path's own space; answers how many of those wanted. */
  #prepare(wanted: number): number {
    if (this.#splicing === undefined) return 0
    this.#splicing.relay.prepare(this.#batch, wanted)
    return wanted
  }

  /** Begins packets to receive into; answers how many of those wanted there was room for. */
  #reserve(port: SharedPort, wanted: number): number {
    const { guest, flows } = this.#components
    const batch = this.#batch
    if (port.heardLast >= 0) flows.readSide(port.heardLast, this.#tap)
    for (let count = 0; count < wanted; count++) {
      const room = UDP_HEADER_LENGTH + LARGEST_PAYLOAD
      let offset = guest.begin(this.#tap, IpProtocol.udp, room)
      if (offset < 0 && count === 0) {
        guest.flush()
        offset = guest.begin(this.#tap, IpProtocol.udp, room)
      }
      if (offset < 0) return count
      batch.offset[count] = offset + UDP_HEADER_LENGTH
      batch.length[count] = LARGEST_PAYLOAD
    }
    return wanted
  }

  /** Passes on what was received, and answers how many bytes went to the guest or by the local path. */
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
        // The flow of a port that was closed is no guess: its end is not reported to this one.
        if (flow.port === port) port.heardLast = flow.tapSide
        continue
      }
      this.#noteUnused(this.#batch.offset[first] - UDP_HEADER_LENGTH)
      if (flow !== undefined) bytes += this.#splicing?.relay.pass(flow.initiating, this.#batch, first, next) ?? 0
    }
    if (this.#unused >= 0 && port.needsGuest) this.#components.guest.abandon(this.#unused)
    return bytes
  }

  /** The flow of some datagrams of one sender, a new one if need be. If there can be none, they are counted as dropped. */
  #flowOf(port: SharedPort, first: number, next: number): UdpFlow | SplicedFlow | undefined {
    const ends = this.#ends[first]
    const scope = this.#batch.scope[first]
    const flow = this.#finder.heardAt(port, ends)
    if (flow === undefined) return this.#newcomers.begin(port, ends, scope, next - first)
    // Its namesake on another link is another node (RFC 4007, section 6).
    if (!(flow instanceof UdpFlow) || flow.scope === scope) return flow
    this.#components.drops.count(this.#reasons.stranger, next - first)
    return undefined
  }

  #noteReply(flow: UdpFlow): void {
    if (flow.hasReply) return
    flow.hasReply = true
    this.#scarcity.answered(flow, flow.port)
  }

  /** Passes on datagrams of one flow, and answers how many bytes. */
  #passRun(flow: UdpFlow, first: number, next: number, isOther: boolean): number {
    const { clock, flows, guest } = this.#components
    const batch = this.#batch
    const tap = this.#tap
    flows.readSide(flow.tapSide, tap)
    flow.lastActivity = clock.now
    if (!flow.beganOnHost) this.#noteReply(flow)
    else if (flow.hasReply) flow.isConversation = true
    let bytes = 0
    for (let index = first, after = first; index < next; index = after) {
      const packet = batch.offset[index] - UDP_HEADER_LENGTH
      if (isOther) guest.redirect(packet, tap, IpProtocol.udp)
      after = this.#linkCuts(batch.segmentSize[index] || batch.length[index])
        ? putTogether(this.#arena, batch, index, next)
        : index + 1
      bytes += batch.length[index]
      const isPassed = this.#pass(packet, batch.length[index], batch.segmentSize[index], batch.trafficClass[index])
      const firstUnused = isPassed ? index + 1 : index
      if (firstUnused < after) this.#noteUnused(batch.offset[firstUnused] - UDP_HEADER_LENGTH)
    }
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

/** True if two datagrams that a port received came from one end, to one end. */
function isSameSender(one: Demiflow, other: Demiflow, port: SharedPort): boolean {
  return (
    one.correspondentPort === other.correspondentPort &&
    one.correspondentAddress.equals(other.correspondentAddress) &&
    // The port of a guest's doesn't say where a datagram went.
    (port instanceof GuestPort || one.forwardingAddress.equals(other.forwardingAddress))
  )
}
