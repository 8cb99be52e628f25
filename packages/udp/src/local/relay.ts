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
  SendingErrors,
} from "@demiflow/core"
import type { ErrorRelay } from "../error-relay.ts"
import { datagramsIn, LARGEST_PAYLOAD, NOTHING_WHOLE, putTogether, wholeLength } from "../leaving-together.ts"
import type { UdpReasons } from "../reasons.ts"
import type { Scarcity } from "../scarcity.ts"
import { BUDGET_BYTES, BUDGET_DATAGRAMS, BUDGET_ERRORS, LARGEST_BURST, SMALLEST_BURST } from "../turn-budget.ts"
import type { WaitingPlace } from "../waiting-sources.ts"
import type { ReportedErrors } from "./reported-errors.ts"
import type { SplicedFlow, SplicedSide } from "./spliced-flow.ts"

/** What {@link Relay} works with. */
export interface RelayParts {
  readonly components: Components
  readonly reasons: UdpReasons
  /** For sockets that a side shares with flows of other kinds. */
  readonly errors: ErrorRelay
  readonly scarcity: Scarcity
  readonly waiting: WaitingPlace<SplicedSide>
}

/**
 * Carries datagrams from the socket of one side to that of the other: one call receives many, and one sends them from where
 * they were received to. What the kernel had left together it is given together, to be cut where it is received, and
 * neighbours of one size are put together for that.
 *
 * A socket that has used up its budget waits for its next turn. What has no room in the send queue is lost, as datagrams are
 * on any way; what is reported about earlier ones is got over.
 */
export class Relay {
  readonly #arena: Arena
  readonly #clock: Clock
  readonly #drops: Drops
  readonly #flows: FlowTable
  readonly #reasons: UdpReasons
  readonly #errors: ReportedErrors
  readonly #portErrors: ErrorRelay
  readonly #scarcity: Scarcity
  readonly #waiting: WaitingPlace<SplicedSide>
  readonly #batch = new DatagramBatch(LARGEST_BURST)
  readonly #ends = new Demiflow()
  readonly #sendingErrors = new SendingErrors()
  readonly #space: number

  constructor({ components, reasons, errors, scarcity, waiting }: RelayParts, reported: ReportedErrors) {
    this.#arena = components.arena
    this.#clock = components.clock
    this.#drops = components.drops
    this.#flows = components.flows
    this.#reasons = reasons
    this.#errors = reported
    this.#portErrors = errors
    this.#scarcity = scarcity
    this.#waiting = waiting
    this.#space = components.arena.reserve(LARGEST_BURST * LARGEST_PAYLOAD)
  }

  /** Passes on what waits in the socket of a side, within its budget. */
  drain(from: SplicedSide): void {
    const batch = this.#batch
    let wanted = from.burst === 0 ? SMALLEST_BURST : from.burst
    let datagrams = 0
    let bytes = 0
    let errors = 0
    while (datagrams < BUDGET_DATAGRAMS && bytes < BUDGET_BYTES && errors < BUDGET_ERRORS) {
      this.prepare(batch, wanted)
      const received = from.host.receiveDatagrams(from.socket, batch, wanted)
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

  /** Has entries of a batch, {@link LARGEST_BURST} at most, received into the local path's space. */
  prepare(batch: DatagramBatch, wanted: number): void {
    for (let index = 0; index < wanted; index++) {
      batch.offset[index] = this.#space + index * LARGEST_PAYLOAD
      batch.length[index] = LARGEST_PAYLOAD
    }
  }

  /**
   * Passes on datagrams that a port has received, in the name of a side: entries `first` to `next - 1` of a batch, with room
   * for {@link LARGEST_PAYLOAD} each. Answers how many bytes.
   */
  pass(from: SplicedSide, batch: DatagramBatch, first: number, next: number): number {
    this.#heard(from)
    return this.#passAll(from.opposite, batch, first, next)
  }

  #heard(from: SplicedSide): void {
    const flow: SplicedFlow = from.flow
    flow.lastActivity = this.#clock.now
    if (from === flow.initiating) {
      if (flow.hasReply) flow.isConversation = true
      return
    }
    if (flow.hasReply) return
    flow.hasReply = true
    this.#scarcity.answered(flow, flow.target)
  }

  /** Passes on entries of a batch, without those that were cut off. Answers how many bytes. */
  #passAll(to: SplicedSide, batch: DatagramBatch, first: number, end: number): number {
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
    }
    this.#send(to, batch, first, kept)
    return bytes
  }

  #send(to: SplicedSide, batch: DatagramBatch, start: number, end: number): void {
    const { port } = to
    if (port !== undefined) {
      this.#flows.readSide(to.flow.portSide, this.#ends)
      // A flow of the guest's link may have sent from there what may not be fragmented.
      port.mark(this.#ends.isV4, NO_MARKS)
    }
    const errors = this.#sendingErrors
    let first = start
    errors.begin()
    while (first < end) {
      const offset = batch.offset[first]
      const sent =
        port === undefined
          ? to.host.sendDatagrams(to.socket, batch, first, end - first)
          : to.host.sendDatagramsTo(port.socket, this.#ends, to.scope, batch, first, end - first)
      if (sent > 0) {
        first += sent
        errors.begin()
      } else if (sent === 0 || sent === -Errno.EAGAIN) {
        while (first < end) this.#lose(batch, first++, -Errno.EAGAIN)
      } else {
        // The call has sent a part of the entry before.
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
