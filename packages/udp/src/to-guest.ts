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
import type { UdpReasons } from "./reasons.ts"
import type { UdpFlow } from "./state.ts"

/** Largest payload of a datagram that an IPv4 packet holds, and room for each that is received. */
const LARGEST_PAYLOAD = 65_507
/** Entries of a receiving call: the first asks for one more than the single answer that most are, later ones for … */
const SMALLEST_BURST = 2
const LARGEST_BURST = 32
/** Pieces of one entry that are told apart at most; Linux leaves 64 datagrams together. */
const LARGEST_COUNT = 1024
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
  /** Where the UDP headers of the pieces of one entry stand. */
  readonly #pieces = new Int32Array(LARGEST_COUNT)
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
      for (let index = 0; index < received; index++) {
        bytes += batch.length[index]
        this.#pass(batch.offset[index] - UDP_HEADER_LENGTH, batch.length[index], batch.segmentSize[index])
      }
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

  /** Finishes an entry in its packet: one datagram, or several of `segmentSize` bytes left together. */
  #pass(offset: number, length: number, segmentSize: number): void {
    const { drops, guest } = this.#components
    let whole = length
    if (length > LARGEST_PAYLOAD) {
      // Its end was cut off. Of several left together, those that are complete are good.
      drops.count(this.#reasons.oversized)
      whole = segmentSize > 0 ? LARGEST_PAYLOAD - (LARGEST_PAYLOAD % segmentSize) : 0
      if (whole === 0) return
    }
    if (segmentSize === 0 || segmentSize >= whole) this.#end(offset, whole)
    else if (this.#canLeaveTogether(segmentSize)) {
      this.#writeHeader(offset, whole)
      guest.end(offset, UDP_HEADER_LENGTH + whole, UDP_CHECKSUM, segmentSize, UDP_HEADER_LENGTH)
    } else this.#split(offset, whole, segmentSize)
  }

  /** Whether the link cuts for us, and the pieces need no fragmentation. */
  #canLeaveTogether(segmentSize: number): boolean {
    const { capabilities, mtu } = this.#components.guest
    const ipLength = this.#tap.isV4 ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH
    return capabilities.udpSegmentation && ipLength + UDP_HEADER_LENGTH + segmentSize <= mtu
  }

  /**
   * Makes packets of their own of datagrams that were left together, which takes a copy of all but the first. All are
   * begun before the first is ended: until then, what is behind it is safe.
   */
  #split(offset: number, length: number, segmentSize: number): void {
    const { drops, guest } = this.#components
    const count = Math.ceil(length / segmentSize)
    let begun = 1
    for (; begun < count && begun < LARGEST_COUNT; begun++) {
      const done = begun * segmentSize
      const size = Math.min(segmentSize, length - done)
      const piece = guest.begin(this.#tap, IpProtocol.udp, UDP_HEADER_LENGTH + size)
      if (piece < 0) break
      this.#arena.copy(offset + UDP_HEADER_LENGTH + done, piece + UDP_HEADER_LENGTH, size)
      this.#pieces[begun] = piece
    }
    this.#end(offset, segmentSize)
    for (let index = 1; index < begun; index++) {
      this.#end(this.#pieces[index], Math.min(segmentSize, length - index * segmentSize))
    }
    if (begun < count) drops.count(this.#reasons.noRoom, count - begun)
  }

  #end(offset: number, payloadLength: number): void {
    this.#writeHeader(offset, payloadLength)
    this.#components.guest.end(offset, UDP_HEADER_LENGTH + payloadLength, UDP_CHECKSUM)
  }

  #writeHeader(offset: number, payloadLength: number): void {
    const view = this.#arena.view
    view.setUint16(offset + UDP_SOURCE_PORT, this.#tap.forwardingPort)
    view.setUint16(offset + UDP_TARGET_PORT, this.#tap.correspondentPort)
    view.setUint16(offset + UDP_LENGTH, UDP_HEADER_LENGTH + payloadLength)
  }
}
