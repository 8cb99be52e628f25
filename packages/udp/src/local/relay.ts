import {
  type Arena,
  type Clock,
  type Components,
  DatagramBatch,
  Demiflow,
  type Drops,
  Errno,
  type FlowTable,
  NO_MARKS,
} from "@demiflow/core"
import { SendingErrors, type WaitingList } from "@demiflow/protocol-kit"
import type { ErrorRelay } from "../error-relay.ts"
import { datagramsIn, LARGEST_PAYLOAD, NOTHING_WHOLE, putTogether, wholeLength } from "../leaving-together.ts"
import type { Progress } from "../progress.ts"
import type { UdpReasons } from "../reasons.ts"
import { BUDGET_BYTES, BUDGET_DATAGRAMS, BUDGET_ERRORS, LARGEST_BURST, SMALLEST_BURST } from "../turn-budget.ts"
import type { ReportedErrors } from "./reported-errors.ts"
import type { SplicedFlow, SplicedSide } from "./spliced-flow.ts"

/** The parts that {@link Relay} works with. */
export interface RelayParts {
  readonly components: Components
  readonly reasons: UdpReasons
  /** For sockets that a side shares with flows of other kinds. */
  readonly errors: ErrorRelay
  readonly progress: Progress
  readonly waiting: Pick<WaitingList<SplicedSide>, "wait">
}

/**
 * Carries datagrams from the socket of one side to that of the other. One call receives many, and one call sends them
 * from where they were received. Datagrams that the kernel had coalesced are sent coalesced, to be split where they are
 * received, and adjacent ones of one size are coalesced.
 *
 * A socket that has used up its budget waits for its next turn. Datagrams for which the send queue has no room are
 * dropped, as in any network. An error that is reported about earlier datagrams doesn't stop later ones.
 */
export class Relay {
  readonly #arena: Arena
  readonly #clock: Clock
  readonly #drops: Drops
  readonly #flows: FlowTable
  readonly #reasons: UdpReasons
  readonly #errors: ReportedErrors
  readonly #portErrors: ErrorRelay
  readonly #progress: Progress
  readonly #waiting: Pick<WaitingList<SplicedSide>, "wait">
  readonly #batch = new DatagramBatch(LARGEST_BURST)
  readonly #ends = new Demiflow()
  readonly #sendingErrors = new SendingErrors()
  readonly #space: number

  constructor({ components, reasons, errors, progress, waiting }: RelayParts, reported: ReportedErrors) {
    this.#arena = components.arena
    this.#clock = components.clock
    this.#drops = components.drops
    this.#flows = components.flows
    this.#reasons = reasons
    this.#errors = reported
    this.#portErrors = errors
    this.#progress = progress
    this.#waiting = waiting
    this.#space = components.arena.reserve(LARGEST_BURST * LARGEST_PAYLOAD, 64, "the local path of UDP")
  }

  /** Delivers what the socket of a side holds, within its budget. */
  drain(from: SplicedSide): void {
    const batch = this.#batch
    let wanted = from.burst === 0 ? SMALLEST_BURST : from.burst
    let datagrams = 0
    let bytes = 0
    let errors = 0
    while (datagrams < BUDGET_DATAGRAMS && bytes < BUDGET_BYTES && errors < BUDGET_ERRORS) {
      this.prepare(batch, wanted)
      const received = from.sockets.receiveDatagrams(from.socket, batch, wanted)
      if (received === 0 || received === -Errno.EAGAIN) {
        from.burst = 0
        return
      }
      if (received < 0) {
        if (this.#errors.drain(from) === 0) this.#drops.count(this.#reasons.notDelivered)
        errors++
        continue
      }
      this.#heard(from)
      bytes += this.#passAll(from.opposite, batch, 0, received)
      if (received < wanted) {
        from.burst = 0
        return
      }
      datagrams += received
      wanted = Math.min(wanted * 2, LARGEST_BURST)
    }
    from.burst = wanted
    this.#waiting.wait(from, this.#clock.now)
  }

  /** Prepares entries of a batch, at most {@link LARGEST_BURST}, to receive into the local path's space. */
  prepare(batch: DatagramBatch, wanted: number): void {
    for (let index = 0; index < wanted; index++) {
      batch.offset[index] = this.#space + index * LARGEST_PAYLOAD
      batch.length[index] = LARGEST_PAYLOAD
    }
  }

  /**
   * Delivers datagrams that a port has received for a side: entries `first` to `next - 1` of a batch, with space for
   * {@link LARGEST_PAYLOAD} each. Returns the number of bytes.
   */
  pass(from: SplicedSide, batch: DatagramBatch, first: number, next: number): number {
    this.#heard(from)
    return this.#passAll(from.opposite, batch, first, next)
  }

  #heard(from: SplicedSide): void {
    const flow: SplicedFlow = from.flow
    flow.lastActivity = this.#clock.now
    if (from === flow.initiating) this.#progress.initiatorHeard(flow)
    else this.#progress.targetHeard(flow, flow.target)
  }

  /** Delivers entries of a batch, except those that were cut off. Returns the number of bytes. */
  #passAll(to: SplicedSide, batch: DatagramBatch, first: number, end: number): number {
    const from = to.opposite
    let kept = first
    let bytes = 0
    for (let index = first, next = first; index < end; index = next) {
      next = putTogether(this.#arena, batch, index, end)
      const segmentSize = batch.segmentSize[index]
      const whole = wholeLength(batch.length[index], segmentSize)
      if (whole < batch.length[index]) this.#drops.count(this.#reasons.cutOff)
      if (whole === NOTHING_WHOLE) continue
      batch.offset[kept] = batch.offset[index]
      batch.length[kept] = whole
      batch.segmentSize[kept] = segmentSize < whole ? segmentSize : 0
      kept++
      bytes += whole
      from.packets += datagramsIn(whole, segmentSize < whole ? segmentSize : 0)
    }
    from.bytes += bytes
    this.#send(to, batch, first, kept)
    return bytes
  }

  #send(to: SplicedSide, batch: DatagramBatch, start: number, end: number): void {
    const { port } = to
    if (port !== undefined) {
      this.#flows.readSide(to.flow.portSide, this.#ends)
      // Flows of the guest's link that share the port may have set "don't fragment".
      port.mark(this.#ends.isV4, NO_MARKS)
    }
    const errors = this.#sendingErrors
    let first = start
    errors.begin()
    while (first < end) {
      const offset = batch.offset[first]
      const sent =
        port === undefined
          ? to.sockets.sendDatagrams(to.socket, batch, first, end - first)
          : to.sockets.sendDatagramsTo(port.socket, this.#ends, to.scope, batch, first, end - first)
      if (sent > 0) {
        first += sent
        errors.begin()
      } else if (sent === 0 || sent === -Errno.EAGAIN) {
        while (first < end) this.#lose(batch, first++, -Errno.EAGAIN)
      } else {
        // The call has sent a part of the entry before the error.
        if (batch.offset[first] !== offset) errors.begin()
        if (sent !== -Errno.ENOBUFS && errors.mayBeOthers(sent, this.#drainErrors(to))) continue
        this.#lose(batch, first++, sent)
        errors.begin()
      }
    }
  }

  #drainErrors(side: SplicedSide): number {
    return side.port === undefined ? this.#errors.drain(side) : this.#portErrors.drainPort(side.port)
  }

  #lose({ length, segmentSize }: DatagramBatch, index: number, answer: number): void {
    const isFull = answer === -Errno.EAGAIN || answer === -Errno.ENOBUFS
    const reason = isFull ? this.#reasons.sendQueueFull : this.#reasons.sendFailed
    this.#drops.count(reason, datagramsIn(length[index], segmentSize[index]))
  }
}
