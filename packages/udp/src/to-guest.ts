import {
  type Arena,
  type Components,
  DatagramBatch,
  Demiflow,
  Errno,
  IpProtocol,
  UDP_CHECKSUM,
  UDP_HEADER_LENGTH,
  UDP_LENGTH,
  UDP_SOURCE_PORT,
  UDP_TARGET_PORT,
} from "@demiflow/core"
import type { ErrorRelay } from "./error-relay.ts"
import type { UdpReasons } from "./reasons.ts"
import type { UdpFlow } from "./state.ts"

/** Largest payload of a datagram that an IPv4 packet holds, and room for each that is received. */
const LARGEST_PAYLOAD = 65_507
/** Entries of a receiving call: the first asks for one more than the single answer that most are, later ones for … */
const SMALLEST_BURST = 2
const LARGEST_BURST = 32
/** What one flow may pass on before others have their turn. */
const BUDGET_DATAGRAMS = 128
const BUDGET_BYTES = 512 * 1024
/** Errors pending on a socket that a turn gets over: each call that meets one clears it. */
const BUDGET_ERRORS = 8
/** Milliseconds until the link is asked again for room. */
const ROOM_PAUSE = 1

/**
 * Receives from host sockets, straight behind room for the headers towards the guest.
 *
 * The sockets' events come only once for a change, so that a flow that has used up its budget, or finds no room towards
 * the guest, is noted down and carries on in the next turn. What isn't received meanwhile stays in the kernel's buffer.
 */
export class ToGuest {
  readonly #components: Components
  readonly #arena: Arena
  readonly #reasons: UdpReasons
  readonly #errors: ErrorRelay
  readonly #tap = new Demiflow()
  readonly #batch = new DatagramBatch(LARGEST_BURST)
  #wakeAt = Number.POSITIVE_INFINITY
  #waiting: UdpFlow[] = []
  #resumed: UdpFlow[] = []

  constructor(components: Components, reasons: UdpReasons, errors: ErrorRelay) {
    this.#components = components
    this.#arena = components.arena
    this.#reasons = reasons
    this.#errors = errors
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
      flow.hasReply = true
      let unfit = -1
      for (let index = 0; index < received; index++) {
        const offset = batch.offset[index] - UDP_HEADER_LENGTH
        bytes += batch.length[index]
        if (!this.#pass(offset, batch.length[index], batch.segmentSize[index]) && unfit < 0) unfit = offset
      }
      if (unfit >= 0) guest.abandon(unfit)
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

  /** Carries on with the flows that were noted down. */
  resume(): void {
    this.#wakeAt = Number.POSITIVE_INFINITY
    const resumed = this.#waiting
    this.#waiting = this.#resumed
    this.#resumed = resumed
    for (let index = 0; index < resumed.length; index++) {
      const flow = resumed[index]
      flow.isWaiting = false
      // It may have ended since, and its object may even serve another flow, whose socket can be asked as well.
      if (flow.socket >= 0) this.drain(flow)
    }
    resumed.length = 0
  }

  #wait(flow: UdpFlow, burst: number, until: number): void {
    flow.burst = burst
    if (until < this.#wakeAt) {
      this.#wakeAt = until
      this.#components.wakeAt(until)
    }
    if (flow.isWaiting) return
    flow.isWaiting = true
    this.#waiting.push(flow)
  }

  /** Begins packets to receive into; answers how many of those wanted there was room for. */
  #reserve(wanted: number): number {
    const guest = this.#components.guest
    const batch = this.#batch
    for (let count = 0; count < wanted; count++) {
      let offset = guest.begin(this.#tap, IpProtocol.udp, UDP_HEADER_LENGTH + LARGEST_PAYLOAD)
      if (offset < 0 && count === 0) {
        guest.flush()
        offset = guest.begin(this.#tap, IpProtocol.udp, UDP_HEADER_LENGTH + LARGEST_PAYLOAD)
      }
      if (offset < 0) return count
      batch.offset[count] = offset + UDP_HEADER_LENGTH
      batch.length[count] = LARGEST_PAYLOAD
    }
    return wanted
  }

  /**
   * Finishes an entry in its packet: one datagram, or several of `segmentSize` bytes left together, for the guest's side to
   * cut. False if it can't be passed on.
   */
  #pass(offset: number, length: number, segmentSize: number): boolean {
    const { drops, guest } = this.#components
    let whole = length
    if (length > LARGEST_PAYLOAD) {
      // Its end was cut off. Of several left together, those that are complete are good.
      drops.count(this.#reasons.oversized)
      whole = segmentSize > 0 ? LARGEST_PAYLOAD - (LARGEST_PAYLOAD % segmentSize) : 0
      if (whole === 0) return false
    }
    const view = this.#arena.view
    view.setUint16(offset + UDP_SOURCE_PORT, this.#tap.forwardingPort)
    view.setUint16(offset + UDP_TARGET_PORT, this.#tap.correspondentPort)
    view.setUint16(offset + UDP_LENGTH, UDP_HEADER_LENGTH + whole)
    const size = segmentSize < whole ? segmentSize : 0
    guest.end(offset, UDP_HEADER_LENGTH + whole, UDP_CHECKSUM, size, UDP_HEADER_LENGTH)
    return true
  }
}
