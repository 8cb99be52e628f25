import { type Arena, type Components, DatagramBatch, Demiflow, type Drops, Errno, type FlowTable } from "@demiflow/core"
import { SendingErrors } from "@demiflow/protocol-kit"
import type { ErrorRelay } from "./error-relay.ts"
import { datagramsIn, LARGEST_PAYLOAD, mayFollow } from "./leaving-together.ts"
import type { UdpReasons } from "./reasons.ts"
import type { UdpFlow } from "./state.ts"

/** Entries handed to the host in one call. */
const BATCH_SIZE = 64
/** Space for coalesced datagrams before they must be sent. */
const GATHERED_BYTES = 4 * LARGEST_PAYLOAD

/**
 * Sends the datagrams of a sequence, many per call. A datagram, or several that an offload of the guest has coalesced,
 * is sent from where it arrived, unless more of the same size follows. Datagrams of one size are coalesced, for the
 * host to split or to send one by one.
 */
export class ToHost {
  readonly #arena: Arena
  readonly #flows: FlowTable
  readonly #drops: Drops
  readonly #reasons: UdpReasons
  readonly #errors: ErrorRelay
  readonly #batch = new DatagramBatch(BATCH_SIZE)
  readonly #gathered: number
  readonly #hostSide = new Demiflow()
  readonly #sendingErrors = new SendingErrors()
  #isRefused = false
  /** End of the datagrams that were coalesced last. */
  #end: number

  constructor(components: Components, reasons: UdpReasons, errors: ErrorRelay) {
    this.#arena = components.arena
    this.#flows = components.flows
    this.#drops = components.drops
    this.#reasons = reasons
    this.#errors = errors
    this.#gathered = components.arena.reserve(GATHERED_BYTES, 64, "the handler of UDP")
    this.#end = this.#gathered
  }

  /** Adds a datagram to those that {@link ToHost.flush} sends. Sends those added before if it doesn't fit with them. */
  add(flow: UdpFlow, tap: Demiflow, offset: number, length: number, segmentSize: number, marks: number): void {
    const { port, isHostV4 } = flow
    if (marks !== this.#batch.marks) this.#sendBatch(flow, tap)
    if (this.#batch.count === 0) {
      this.#batch.marks = marks
      port?.mark(isHostV4, marks)
    }
    const isTogether = segmentSize > 0 && segmentSize < length
    flow.lastLength = isTogether ? segmentSize : length
    flow.packetsFromGuest += datagramsIn(length, isTogether ? segmentSize : 0)
    flow.bytesFromGuest += length
    if (this.#join(offset, length, isTogether ? segmentSize : 0)) return
    const batch = this.#batch
    if (batch.count === BATCH_SIZE || this.#end + LARGEST_PAYLOAD > this.#gathered + GATHERED_BYTES) {
      this.#sendBatch(flow, tap)
    }
    const index = batch.count++
    batch.offset[index] = offset
    batch.length[index] = length
    batch.segmentSize[index] = isTogether ? segmentSize : 0
  }

  /**
   * Sends what was added. Returns false if the host refused a datagram, other than for its size, since the last flush.
   */
  flush(flow: UdpFlow, tap: Demiflow): boolean {
    this.#sendBatch(flow, tap)
    const isRefused = this.#isRefused
    this.#isRefused = false
    return !isRefused
  }

  #sendBatch(flow: UdpFlow, tap: Demiflow): void {
    if (this.#batch.count > 0) this.#send(flow, tap)
    this.#end = this.#gathered
  }

  /** Coalesces a datagram, or several, with the last entry. Returns false if their sizes don't allow it. */
  #join(offset: number, length: number, segmentSize: number): boolean {
    const batch = this.#batch
    const last = batch.count - 1
    if (last < 0) return false
    const together = batch.length[last]
    const first = batch.segmentSize[last] || together
    if (!mayFollow(first, together, length, segmentSize)) return false
    if (batch.offset[last] + together !== this.#end) {
      this.#arena.copy(batch.offset[last], this.#end, together)
      batch.offset[last] = this.#end
      this.#end += together
    }
    this.#arena.copy(offset, this.#end, length)
    this.#end += length
    batch.length[last] = together + length
    batch.segmentSize[last] = first
    return true
  }

  #send(flow: UdpFlow, tap: Demiflow): void {
    const batch = this.#batch
    const hostSide = this.#hostSide
    const { port, scope } = flow
    if (port === undefined) return
    this.#flows.readSide(flow.hostSide, hostSide)
    const errors = this.#sendingErrors
    let first = 0
    errors.begin()
    while (first < batch.count) {
      const offset = batch.offset[first]
      const sent = port.sockets.sendDatagramsTo(port.socket, hostSide, scope, batch, first, batch.count - first)
      if (sent > 0) {
        first += sent
        errors.begin()
        continue
      }
      if (sent === 0 || sent === -Errno.EAGAIN) {
        while (first < batch.count) this.#lose(batch, first++)
        break
      }
      // The call has sent a part of the entry before the error.
      if (batch.offset[first] !== offset) errors.begin()
      if (sent !== -Errno.ENOBUFS && errors.mayBeOthers(sent, this.#errors.drainPort(port))) continue
      this.#refused(tap, batch, first++, errors.isHosts(sent) ? -sent : Errno.ECONNREFUSED)
      errors.begin()
    }
    batch.count = 0
  }

  /**
   * Counts a refused entry. Coalesced datagrams are refused alike, so one error is reported, about the first datagram.
   */
  #refused(tap: Demiflow, batch: DatagramBatch, index: number, errno: number): void {
    if (errno === Errno.ENOBUFS) {
      this.#lose(batch, index)
      return
    }
    const { offset, length, segmentSize } = batch
    this.#drops.count(this.#reasons.sendFailed, datagramsIn(length[index], segmentSize[index]))
    // The host itself never refuses a datagram with this error: another node reported it, about any earlier datagram.
    if (errno === Errno.ECONNREFUSED) return
    if (errno !== Errno.EMSGSIZE) this.#isRefused = true
    this.#errors.refuse(tap, errno, offset[index], segmentSize[index] || length[index])
  }

  #lose(batch: DatagramBatch, index: number): void {
    this.#drops.count(this.#reasons.sendQueueFull, datagramsIn(batch.length[index], batch.segmentSize[index]))
  }
}
