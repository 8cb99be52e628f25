/**
 * Segments from the guest for an existing connection (RFC 9293, section 3.10.7; RFC 5961).
 *
 * In-order payload is gathered over a whole sequence and handed to the host in one call. Payload ahead of the expected
 * number is kept if there is room (out-of-order.ts), and a duplicate acknowledgement requests the missing segment.
 * Payload that was accepted before is cut off.
 */
import { type DropReason, Vectors } from "@demiflow/core"
import { Judgement, judge } from "../connection/acceptance.ts"
import { TcpFlag } from "../connection/segment.ts"
import { distance } from "../connection/sequence-number.ts"
import { acceptsFromGuest, Event, State, sendsToGuest } from "../connection/state.ts"
import { MAXIMUM_VECTORS, type TcpContext } from "./context.ts"
import { receiveSyn } from "./handshake.ts"
import { OutOfOrder } from "./out-of-order.ts"
import type { ReceivedSegment } from "./received-segment.ts"
import type { TcpConnection } from "./tcp-connection.ts"
import type { ToGuest } from "./to-guest.ts"
import type { ToHost } from "./to-host.ts"

/** What the caller of {@link FromGuest.segment} must do with a segment. */
export const SegmentOutcome = { done: 0, refuse: 1, reopen: 2 } as const
export type SegmentOutcomeId = (typeof SegmentOutcome)[keyof typeof SegmentOutcome]

export class FromGuest {
  readonly #context: TcpContext
  readonly #toHost: ToHost
  readonly #toGuest: ToGuest
  readonly #outOfWindow: DropReason
  readonly #outOfOrder: DropReason
  readonly #ahead: OutOfOrder
  /** In-order payload of the sequence. */
  readonly #gathered: Vectors
  #gatheredCount = 0
  #gatheredBytes = 0
  /** Marks of the segment gathered last. */
  #gatheredMarks = 0

  constructor(context: TcpContext, toHost: ToHost, toGuest: ToGuest) {
    const { arena, drops } = context.components
    this.#context = context
    this.#gathered = new Vectors(arena, MAXIMUM_VECTORS)
    this.#toHost = toHost
    this.#toGuest = toGuest
    this.#ahead = new OutOfOrder(context, toHost)
    this.#outOfWindow = drops.reason("tcp: outside the window")
    this.#outOfOrder = drops.reason("tcp: out of order")
  }

  /** Handles one segment. Call {@link FromGuest.finish} after the last one of a sequence. */
  segment(connection: TcpConnection, segment: ReceivedSegment): SegmentOutcomeId {
    const flags = segment.flags
    const expected = (connection.receiver.seqFromGuest + this.#gatheredBytes) | 0
    const { length } = segment
    if (
      (flags & ~TcpFlag.push) === TcpFlag.acknowledgement &&
      segment.sequence === expected &&
      acceptsFromGuest(connection.state) &&
      this.#gatheredBytes + length <= connection.receiver.room
    ) {
      if (!this.#acknowledgement(connection, segment)) {
        // Payload gathered before the connection's end must not be taken for the next connection's.
        if (connection.flow < 0) this.#handOver(connection)
        return SegmentOutcome.done
      }
      if (length > 0) this.#gather(connection, segment.payloadOffset, length, segment.marks)
      return SegmentOutcome.done
    }
    this.#handOver(connection)
    if (connection.flow < 0) return SegmentOutcome.done
    return this.#uncommon(connection, segment)
  }

  /** Finishes a sequence. */
  finish(connection: TcpConnection): void {
    this.#handOver(connection)
    if (connection.islands !== undefined && acceptsFromGuest(connection.state)) {
      this.#ahead.deliver(connection, connection.islands, this.#gathered)
    }
    if (connection.flow >= 0) this.#toGuest.finish(connection)
  }

  #uncommon(connection: TcpConnection, segment: ReceivedSegment): SegmentOutcomeId {
    const context = this.#context
    switch (judge(connection, segment, segment.marks === connection.marks)) {
      case Judgement.process:
        if (this.#acknowledgement(connection, segment)) this.#payloadAndFin(connection, segment)
        break
      case Judgement.establish:
        this.#established(connection, segment)
        if (connection.flow >= 0) this.#payloadAndFin(connection, segment)
        break
      case Judgement.establishBySyn:
        // Payload that comes with the guest's SYN is not taken: the guest sends it again.
        receiveSyn(context.components, connection, segment)
        this.#toHost.acknowledge(connection, true)
        this.#established(connection, segment)
        break
      case Judgement.crossedSyn:
        receiveSyn(context.components, connection, segment)
        context.apply(connection, Event.synFromGuest)
        break
      case Judgement.repeatSyn:
        context.sendSyn(connection)
        break
      case Judgement.refuse:
        return SegmentOutcome.refuse
      case Judgement.abort:
        context.abort(connection, false)
        break
      case Judgement.replace:
        context.abort(connection, false)
        return SegmentOutcome.reopen
      case Judgement.succeed:
        // What is still held for the host keeps the connection.
        if (connection.socket >= 0) this.#challenge(connection)
        else {
          context.apply(connection, Event.lingered)
          return SegmentOutcome.reopen
        }
        break
      case Judgement.challenge:
        this.#challenge(connection)
        break
      case Judgement.reset:
        context.resetFromGuest(connection)
        break
      case Judgement.keepAlive:
        if (connection.socket >= 0) this.#keepAlive(connection)
        else this.#outside(connection, segment)
        break
      case Judgement.outside:
        this.#outside(connection, segment)
        break
      case Judgement.outsideInSilence:
        context.components.drops.count(this.#outOfWindow)
        break
      default:
    }
    return SegmentOutcome.done
  }

  /** Handles a keep-alive probe. Too frequent a probe isn't passed on to the host either. */
  #keepAlive(connection: TcpConnection): void {
    connection.heard(this.#context.now)
    if (!connection.receiver.mayChallenge(this.#context.now)) return
    if (this.#toHost.isAnswerDue(connection)) this.#challenge(connection)
  }

  /** Answers a segment outside the window. */
  #outside(connection: TcpConnection, segment: ReceivedSegment): void {
    this.#context.components.drops.count(this.#outOfWindow)
    // RFC 9293 3.10.7.4 MUST: a FIN in TIME-WAIT starts the wait anew: the guest missed our last acknowledgement.
    if (segment.has(TcpFlag.fin) && connection.state === State.timeWait) this.#context.linger(connection)
    // RFC 9293 3.10.7.4 MUST: an unacceptable segment is answered with an acknowledgement.
    // Two ends that reject each other's acknowledgements must not answer each other for ever, so these are limited in
    // number.
    if (segment.sequenceLength === 0) this.#challenge(connection)
    else this.#toHost.acknowledge(connection, true)
  }

  #challenge(connection: TcpConnection): void {
    const { now } = this.#context
    if (!connection.receiver.mayChallenge(now)) return
    connection.receiver.challenged(now)
    this.#toHost.acknowledge(connection, true)
  }

  #established(connection: TcpConnection, segment: ReceivedSegment): void {
    const { sender } = connection
    connection.heard(this.#context.now)
    sender.established(segment.acknowledgement)
    const scale = segment.has(TcpFlag.syn) ? 0 : sender.windowScaleFromGuest
    sender.setWindow(segment.sequence, segment.window << scale)
    this.#context.apply(connection, Event.synAcknowledged)
    this.#toGuest.pump(connection)
  }

  /** Handles the acknowledgement and window of a segment. Returns false if the rest of the segment doesn't count. */
  #acknowledgement(connection: TcpConnection, segment: ReceivedSegment): boolean {
    const { sender } = connection
    const { acknowledgement } = segment
    if (!sender.isPlausible(acknowledgement)) {
      this.#challenge(connection)
      return false
    }
    connection.heard(this.#context.now)
    if (distance(sender.ackFromGuest, acknowledgement) < 0) return true
    const window = segment.window << sender.windowScaleFromGuest
    const isSame = window === sender.windowFromGuest
    sender.updateWindow(segment.sequence, acknowledgement, window)
    if (connection.state === State.timeWait) return true
    this.#toGuest.acknowledged(connection, acknowledgement, isSame && segment.sequenceLength === 0)
    return connection.flow >= 0
  }

  #payloadAndFin(connection: TcpConnection, segment: ReceivedSegment): void {
    if (segment.sequenceLength === 0) return
    const hasFin = (segment.flags & TcpFlag.fin) !== 0
    const early = distance(connection.receiver.seqFromGuest, segment.sequence)
    if (early > 0) {
      const isKept = acceptsFromGuest(connection.state) && this.#ahead.keep(connection, segment)
      if (!isKept) this.#context.components.drops.count(this.#outOfOrder)
      connection.receiver.noteLoss(this.#context.now)
      this.#toHost.acknowledge(connection, true)
      return
    }
    if (!acceptsFromGuest(connection.state)) {
      // Payload or a FIN, retransmitted after the guest's FIN was accepted.
      this.#toHost.acknowledge(connection, true)
      return
    }
    const start = segment.payloadOffset - early
    const length = Math.min(segment.endOffset - start, connection.receiver.room)
    const isCut = length < segment.endOffset - start
    if (length > 0) this.#gather(connection, start, length, segment.marks)
    const expected = (connection.receiver.seqFromGuest + this.#gatheredBytes) | 0
    this.#handOver(connection)
    if (connection.flow < 0) return
    if (early < 0 || isCut) this.#toHost.acknowledge(connection, true)
    // Nothing follows an accepted FIN. If not all before it was accepted, the guest has to send it again.
    if (!hasFin || isCut || connection.receiver.seqFromGuest !== expected) return
    connection.receiver.acceptFin()
    // Most correspondents end as soon as they receive it, and then our FIN acknowledges it as well.
    this.#toHost.acknowledge(connection, !sendsToGuest(connection.state))
    this.#context.apply(connection, Event.finFromGuest)
  }

  #gather(connection: TcpConnection, offset: number, length: number, marks: number): void {
    if (this.#gatheredCount === MAXIMUM_VECTORS) this.#handOver(connection)
    this.#gathered.set(this.#gatheredCount++, offset, length)
    this.#gatheredBytes += length
    this.#gatheredMarks = marks
  }

  #handOver(connection: TcpConnection): void {
    const count = this.#gatheredCount
    const bytes = this.#gatheredBytes
    if (count === 0) return
    this.#gatheredCount = 0
    this.#gatheredBytes = 0
    if (connection.flow < 0) return
    const marks = this.#gatheredMarks
    if (marks !== connection.marks && connection.socket >= 0) this.#context.mark(connection, marks)
    this.#toHost.accept(connection, this.#gathered, count, bytes)
  }
}
