/**
 * Segments from the guest, for a connection that there is (RFC 9293, section 3.10.7; RFC 5961).
 *
 * Payload in order is gathered over a whole sequence and handed to the host in one call. For payload ahead of what is
 * expected, which out-of-order.ts keeps as far as it can, what is missing is asked for by a duplicate acknowledgement;
 * what was accepted before is cut away.
 */
import type { DropReason } from "@demiflow/core"
import type { TcpConnection } from "./connection.ts"
import { MAXIMUM_VECTORS, type TcpContext } from "./context.ts"
import { noteLoss } from "./guest-queue.ts"
import { takeSyn } from "./handshake.ts"
import { asksForCorrespondent } from "./keep-alive.ts"
import { OutOfOrder } from "./out-of-order.ts"
import { RTO_AFTER_LOST_SYN } from "./round-trip.ts"
import type { Segment } from "./segment.ts"
import { distance } from "./sequence-number.ts"
import { acceptsFromTap, Event, State, sendsToTap } from "./state.ts"
import type { ToHost } from "./to-host.ts"
import type { ToTap } from "./to-tap.ts"
import { TcpFlag } from "./wire.ts"

/** Milliseconds between two answers of a connection to segments that are out of place (RFC 5961, section 7; as Linux). */
const CHALLENGE_INTERVAL = 500

/** What {@link FromTap.segment} wants done with a segment. */
export const SegmentVerdict = { done: 0, refuse: 1, reopen: 2 } as const
export type SegmentVerdictId = (typeof SegmentVerdict)[keyof typeof SegmentVerdict]

export class FromTap {
  readonly #context: TcpContext
  readonly #toHost: ToHost
  readonly #toTap: ToTap
  readonly #outOfWindow: DropReason
  readonly #outOfOrder: DropReason
  readonly #ahead: OutOfOrder
  #gatheredCount = 0
  #gatheredBytes = 0
  /** Of the segment gathered last. */
  #gatheredMarks = 0

  constructor(context: TcpContext, toHost: ToHost, toTap: ToTap) {
    const { drops } = context.components
    this.#context = context
    this.#toHost = toHost
    this.#toTap = toTap
    this.#ahead = new OutOfOrder(context, toHost)
    this.#outOfWindow = drops.reason("tcp: outside the window")
    this.#outOfOrder = drops.reason("tcp: out of order")
  }

  /** One segment. Call {@link FromTap.finish} after the last one of a sequence. */
  segment(connection: TcpConnection, segment: Segment): SegmentVerdictId {
    const flags = segment.flags
    const expected = (connection.seqFromTap + this.#gatheredBytes) | 0
    const { length } = segment
    if (
      (flags & ~TcpFlag.push) === TcpFlag.acknowledgement &&
      segment.sequence === expected &&
      acceptsFromTap(connection.state) &&
      distance((expected + length) | 0, connection.windowEdgeToTap) >= 0
    ) {
      if (!this.#acknowledgement(connection, segment)) {
        // What the connection sent before its end must not be taken for the next one's.
        if (connection.flow < 0) this.#handOver(connection)
        return SegmentVerdict.done
      }
      if (length > 0) this.#gather(connection, segment.payloadOffset, length, segment.marks)
      return SegmentVerdict.done
    }
    this.#handOver(connection)
    if (connection.flow < 0) return SegmentVerdict.done
    return this.#uncommon(connection, segment)
  }

  /** The sequence is over. */
  finish(connection: TcpConnection): void {
    this.#handOver(connection)
    if (connection.islands !== undefined && acceptsFromTap(connection.state)) {
      this.#ahead.deliver(connection, connection.islands)
    }
    if (connection.flow >= 0) this.#toTap.finish(connection)
  }

  #uncommon(connection: TcpConnection, segment: Segment): SegmentVerdictId {
    const { flags } = segment
    if (connection.state === State.connecting) return this.#whileConnecting(connection, segment)
    if (connection.state === State.synSent) return this.#whileSynSent(connection, segment)
    if (flags & TcpFlag.syn && flags & TcpFlag.acknowledgement) {
      this.#challenge(connection)
      return SegmentVerdict.done
    }
    if (flags & TcpFlag.syn) return this.#again(connection, segment)
    if (flags & TcpFlag.reset) {
      this.#resetFromTap(connection, segment)
      return SegmentVerdict.done
    }
    if (asksForCorrespondent(connection, segment)) {
      this.#heard(connection)
      // Asked too often, nobody need ask the host either.
      if (this.#mayChallenge(connection) && this.#toHost.isAnswerDue(connection)) this.#challenge(connection)
      return SegmentVerdict.done
    }
    if (!this.#isInWindow(connection, segment)) {
      this.#context.components.drops.count(this.#outOfWindow)
      // The guest missed our last acknowledgement (RFC 9293, section 3.10.7.4).
      if (flags & TcpFlag.fin && connection.state === State.timeWait) this.#context.linger(connection)
      // Two ends that find each other's acknowledgements wrong must not answer each other for ever.
      if (segment.sequenceLength === 0) this.#challenge(connection)
      else this.#toHost.acknowledge(connection, true)
      return SegmentVerdict.done
    }
    if (!(flags & TcpFlag.acknowledgement)) return SegmentVerdict.done
    if (connection.state === State.synReceived) {
      if (segment.acknowledgement !== connection.seqToTap) return SegmentVerdict.refuse
      this.#established(connection, segment)
    } else if (!this.#acknowledgement(connection, segment)) return SegmentVerdict.done
    if (connection.flow >= 0) this.#payloadAndFin(connection, segment)
    return SegmentVerdict.done
  }

  #whileConnecting(connection: TcpConnection, segment: Segment): SegmentVerdictId {
    const { flags } = segment
    if (flags & TcpFlag.reset) {
      if (segment.sequence === connection.seqFromTap) this.#context.abort(connection, false)
      return SegmentVerdict.done
    }
    if (flags & TcpFlag.acknowledgement) return SegmentVerdict.refuse
    const isRepeated = segment.sequence === connection.initialFromTap && segment.marks === connection.marks
    if (!(flags & TcpFlag.syn) || isRepeated) return SegmentVerdict.done
    // The guest gave the first attempt up and begins another one between the same ends; or it asks the next router.
    this.#context.abort(connection, false)
    return SegmentVerdict.reopen
  }

  /** RFC 9293, section 3.10.7.3. Payload that comes with the guest's SYN is not taken: it comes again. */
  #whileSynSent(connection: TcpConnection, segment: Segment): SegmentVerdictId {
    const { flags } = segment
    const { components } = this.#context
    const isAnswer = (flags & TcpFlag.acknowledgement) !== 0
    if (isAnswer && segment.acknowledgement !== connection.seqToTapHighest) return SegmentVerdict.refuse
    if (flags & TcpFlag.reset) {
      if (isAnswer) this.#context.abort(connection, false)
      return SegmentVerdict.done
    }
    if (!(flags & TcpFlag.syn)) return SegmentVerdict.done
    takeSyn(components, connection, segment)
    if (!isAnswer) {
      this.#context.apply(connection, Event.synFromTap)
      return SegmentVerdict.done
    }
    this.#toHost.acknowledge(connection, true)
    this.#established(connection, segment)
    return SegmentVerdict.done
  }

  /** A SYN on a connection that there is. */
  #again(connection: TcpConnection, segment: Segment): SegmentVerdictId {
    if (connection.state === State.synReceived && segment.sequence === connection.initialFromTap) {
      this.#context.sendSyn(connection)
      return SegmentVerdict.done
    }
    // RFC 9293, section 3.6.1: a later sequence number may begin a new connection out of TIME-WAIT.
    if (connection.state === State.timeWait && connection.socket < 0) {
      if (distance(connection.seqFromTap, segment.sequence) > 0) {
        this.#context.apply(connection, Event.lingered)
        return SegmentVerdict.reopen
      }
    }
    this.#challenge(connection)
    return SegmentVerdict.done
  }

  /** RFC 5961, section 3.2: only the very next sequence number resets, others in the window are challenged. */
  #resetFromTap(connection: TcpConnection, segment: Segment): void {
    // RFC 1337: both directions are done, and what is still held for the host must not be lost.
    if (connection.state === State.timeWait) return
    // The second is the next number that the guest knows of: as far as the correspondent has acknowledged.
    const isNext = segment.sequence === connection.seqFromTap || segment.sequence === connection.ackToTap
    if (isNext) this.#context.resetFromTap(connection)
    else if (this.#isInWindow(connection, segment)) this.#challenge(connection)
    else this.#context.components.drops.count(this.#outOfWindow)
  }

  #mayChallenge({ challengedAt }: TcpConnection): boolean {
    return challengedAt < 0 || this.#context.now - challengedAt >= CHALLENGE_INTERVAL
  }

  #challenge(connection: TcpConnection): void {
    if (!this.#mayChallenge(connection)) return
    connection.challengedAt = this.#context.now
    this.#toHost.acknowledge(connection, true)
  }

  /** RFC 9293, section 3.10.7.4, the first check. */
  #isInWindow(connection: TcpConnection, segment: Segment): boolean {
    const start = distance(connection.seqFromTap, segment.sequence)
    const window = distance(connection.seqFromTap, connection.windowEdgeToTap)
    const { sequenceLength } = segment
    if (sequenceLength === 0) {
      // Section 3.10.7.4: a full window is no reason not to hear acknowledgements. What fills it may be lost, and they are
      // numbered behind it; or behind the byte that probed a window of 0.
      return start >= 0 && start <= Math.max(window, 1)
    }
    if (start >= 0) return start < window
    return start + sequenceLength > 0
  }

  /** The guest is there: a segment of it was found to be right. In `timeWait`, the time stands for something else. */
  #heard(connection: TcpConnection): void {
    if (connection.state === State.timeWait) return
    connection.lastFromTap = this.#context.now
    connection.keepAliveProbes = 0
  }

  #established(connection: TcpConnection, segment: Segment): void {
    this.#heard(connection)
    connection.ackFromTap = segment.acknowledgement
    connection.retransmitAt = -1
    if (connection.retries > 0) connection.rto = RTO_AFTER_LOST_SYN
    connection.retries = 0
    const window = segment.flags & TcpFlag.syn ? segment.window : segment.window << connection.windowScaleFromTap
    connection.windowFromTap = window
    connection.windowSeqFromTap = segment.sequence
    if (window > connection.largestWindowFromTap) connection.largestWindowFromTap = window
    this.#context.apply(connection, Event.synAcknowledged)
    this.#toTap.pump(connection)
  }

  /** The acknowledgement and window of a segment in the window; false if nothing more of the segment counts. */
  #acknowledgement(connection: TcpConnection, segment: Segment): boolean {
    const { acknowledgement } = segment
    const ahead = distance(connection.seqToTapHighest, acknowledgement)
    if (ahead > 0) {
      this.#challenge(connection)
      return false
    }
    const isOld = distance(connection.ackFromTap, acknowledgement) < 0
    // RFC 5961, section 5.2: no acknowledgement can be older than the largest window.
    if (isOld && distance(acknowledgement, connection.ackFromTap) > connection.largestWindowFromTap) {
      this.#challenge(connection)
      return false
    }
    this.#heard(connection)
    const window = segment.window << connection.windowScaleFromTap
    const isSame = window === connection.windowFromTap
    if (!isOld) this.#window(connection, segment, window)
    if (connection.state === State.timeWait) return true
    if (!isOld) this.#toTap.acknowledged(connection, acknowledgement, isSame && segment.sequenceLength === 0)
    return connection.flow >= 0
  }

  /**
   * A window counts from the acknowledgement that comes with it, so one that acknowledges more always brings its window
   * along: a guest that sends something again does that with an old sequence number, which RFC 9293, section
   * 3.10.7.4 would pass over. Otherwise that section's rule holds, for smaller windows as well: a Linux that is short of
   * memory throws away what is inside its window, and says so by a window of 0.
   */
  #window(connection: TcpConnection, segment: Segment, window: number): void {
    const newer = distance(connection.windowSeqFromTap, segment.sequence)
    const acknowledgesMore = distance(connection.ackFromTap, segment.acknowledgement) > 0
    if (!acknowledgesMore && newer < 0) return
    connection.windowFromTap = window
    connection.windowSeqFromTap = segment.sequence
    if (window > connection.largestWindowFromTap) connection.largestWindowFromTap = window
  }

  #payloadAndFin(connection: TcpConnection, segment: Segment): void {
    if (segment.sequenceLength === 0) return
    const hasFin = (segment.flags & TcpFlag.fin) !== 0
    const early = distance(connection.seqFromTap, segment.sequence)
    if (early > 0) {
      const isKept = acceptsFromTap(connection.state) && this.#ahead.keep(connection, segment)
      if (!isKept) this.#context.components.drops.count(this.#outOfOrder)
      noteLoss(connection, this.#context.now)
      this.#toHost.acknowledge(connection, true)
      return
    }
    if (!acceptsFromTap(connection.state)) {
      // Payload or a FIN that comes again after the guest's FIN was accepted.
      this.#toHost.acknowledge(connection, true)
      return
    }
    const start = segment.payloadOffset - early
    const room = distance(connection.seqFromTap, connection.windowEdgeToTap)
    const length = Math.min(segment.endOffset - start, room)
    const isCut = length < segment.endOffset - start
    if (length > 0) this.#gather(connection, start, length, segment.marks)
    const expected = (connection.seqFromTap + this.#gatheredBytes) | 0
    this.#handOver(connection)
    if (connection.flow < 0) return
    if (early < 0 || isCut) this.#toHost.acknowledge(connection, true)
    // After a FIN was accepted nothing follows; if not all before it could be, it has to come again.
    if (!hasFin || isCut || connection.seqFromTap !== expected) return
    connection.seqFromTap = (connection.seqFromTap + 1) | 0
    // Most correspondents end as soon as they hear of it, and then our FIN says so as well.
    this.#toHost.acknowledge(connection, !sendsToTap(connection.state))
    this.#context.apply(connection, Event.finFromTap)
  }

  #gather(connection: TcpConnection, offset: number, length: number, marks: number): void {
    if (this.#gatheredCount === MAXIMUM_VECTORS) this.#handOver(connection)
    this.#context.gathered.set(this.#gatheredCount++, offset, length)
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
    this.#toHost.accept(connection, count, bytes)
  }
}
