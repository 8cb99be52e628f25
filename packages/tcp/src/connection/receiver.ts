/**
 * The half of a connection that receives from the guest: which segments are acceptable, what we acknowledge and when,
 * and the window that we advertise.
 *
 * Numbers are signed 32-bit sequence numbers, sizes bytes, times clock milliseconds. The driver hands payload to the
 * host and reports how much was accepted, and how much room there is.
 */
import { GuestQueue, MOST_SEGMENTS } from "./guest-queue.ts"
import type { Segment } from "./segment.ts"
import { distance, later } from "./sequence-number.ts"

/** Window of our SYN: the largest without scaling. */
const INITIAL_WINDOW = 0xffff
/** Accepted payload from which on an acknowledgement isn't delayed. */
export const PROMPT_BYTES = 8192
/** Maximum delay of an acknowledgement. */
export const ACKNOWLEDGEMENT_DELAY = 1
/** Milliseconds between two challenge acknowledgements of a connection (RFC 5961, section 7; as Linux). */
const CHALLENGE_INTERVAL = 500
/** The window's edge is moved after this much payload, or when the window is smaller than this. */
const UPDATE_BYTES = 64 << 10
const UPDATE_ROOM = 128 << 10
/** Largest window beyond the accepted payload: more than a batch of 64 segments of 64 KiB. */
const WINDOW_LIMIT = 6 << 20
/** Maximum milliseconds between polls of the correspondent's acknowledgements. */
const POLL_INTERVAL_LIMIT = 10
/**
 * After a silence of the correspondent, the interval is an eighth (as a shift) of the silence, and at most the limit.
 */
const POLL_SILENCE_SHIFT = 3
const POLL_SILENCE_LIMIT = 1000

/** An acknowledgement that is to be sent. */
export const Acknowledgement = {
  none: 0,
  /** With the next payload, or a little later. */
  soon: 1,
  /** At the end of the turn, even if it says nothing new. */
  now: 2,
} as const
type AcknowledgementId = (typeof Acknowledgement)[keyof typeof Acknowledgement]

export class Receiver {
  /** Next sequence number expected from the guest; everything before was accepted. */
  seqFromGuest = 0
  /** The acknowledgement that we sent last. */
  ackToGuest = 0
  /** First sequence number beyond every window that we advertised. It never moves back. */
  windowEdgeToGuest = 0
  /** Window that we advertised last, counted from `ackToGuest`. */
  windowToGuest = 0
  /** Shift of the windows we advertise; 0 if the guest doesn't scale. */
  windowScaleToGuest = 0
  /** The acknowledgement that is to be sent to the guest. */
  due: AcknowledgementId = Acknowledgement.none
  /** Payload accepted since the edge was last moved. */
  #bytesSinceUpdate = 0
  /**
   * Initial milliseconds between polls of the correspondent's acknowledgements; -1 if it is so near that payload counts
   * as acknowledged once the host took it.
   */
  #pollInterval = -1
  /** When the correspondent last acknowledged more, while anything is unacknowledged. */
  #openSince = 0
  #challengedAt = -1
  /** The queue that the guest's segments pass, once one was lost there. */
  #queue: GuestQueue | undefined = undefined

  /** Resets a pooled object for a new connection. */
  reset(): void {
    this.windowEdgeToGuest = 0
    this.windowToGuest = 0
    this.windowScaleToGuest = 0
    this.due = Acknowledgement.none
    this.#bytesSinceUpdate = 0
    this.#pollInterval = -1
    this.#openSince = 0
    this.#challengedAt = -1
    this.#queue = undefined
  }

  /** Begins with the guest's SYN. */
  begin(initial: number): void {
    this.seqFromGuest = (initial + 1) | 0
    this.ackToGuest = this.seqFromGuest
    this.windowToGuest = INITIAL_WINDOW
    this.windowEdgeToGuest = (this.seqFromGuest + INITIAL_WINDOW) | 0
  }

  /** Begins without the guest's numbers: its SYN has yet to come. */
  beginUnknown(): void {
    this.seqFromGuest = 0
    this.ackToGuest = 0
    this.windowToGuest = INITIAL_WINDOW
  }

  /** The guest's initial sequence number, until payload follows. */
  get initialFromGuest(): number {
    return (this.seqFromGuest - 1) | 0
  }

  /** Bytes that the guest may still send. */
  get room(): number {
    return distance(this.seqFromGuest, this.windowEdgeToGuest)
  }

  /** True while the correspondent, or the host, has not acknowledged all that was accepted. */
  get isOpen(): boolean {
    return this.ackToGuest !== this.seqFromGuest
  }

  /** True if any part of the segment is inside the window. */
  isAcceptable(segment: Segment): boolean {
    const start = distance(this.seqFromGuest, segment.sequence)
    const { sequenceLength } = segment
    const window = this.room
    if (sequenceLength === 0) {
      // RFC 9293 3.10.7.4 MUST: acknowledgements are processed while the window is full.
      // Payload that fills it may be lost, and acknowledgements are numbered behind that payload; or behind the byte
      // that probed a window of 0.
      return start >= 0 && start <= Math.max(window, 1)
    }
    // RFC 9293 3.10.7.4 MUST: a segment is acceptable if its first or its last number is inside the window.
    return start >= 0 ? start < window : start + sequenceLength > 0
  }

  /** Counts accepted payload. */
  accept(bytes: number, now: number): void {
    if (!this.isOpen) this.#openSince = now
    this.seqFromGuest = (this.seqFromGuest + bytes) | 0
    this.#bytesSinceUpdate += bytes
  }

  /** Counts the guest's FIN. */
  acceptFin(): void {
    this.seqFromGuest = (this.seqFromGuest + 1) | 0
  }

  /** Requests an acknowledgement: at the end of the turn if it is urgent, else a little later. */
  request(isUrgent: boolean): void {
    if (isUrgent) this.due = Acknowledgement.now
    else if (this.due === Acknowledgement.none) this.due = Acknowledgement.soon
  }

  /**
   * True if a requested acknowledgement may wait for payload to travel with.
   *
   * @param sendsToGuest true if there may be such payload
   */
  mayDelay(sendsToGuest: boolean): boolean {
    // RFC 9293 3.8.6.3 SHOULD: an acknowledgement is delayed, by less than half a second; for a little payload only.
    return (
      this.due === Acknowledgement.soon && sendsToGuest && distance(this.ackToGuest, this.seqFromGuest) < PROMPT_BYTES
    )
  }

  /** True if the window's edge should be moved: much was accepted since, or little room is left. */
  isUpdateDue(limit: number): boolean {
    return this.#bytesSinceUpdate >= UPDATE_BYTES || this.room < Math.min(UPDATE_ROOM, limit >> 1)
  }

  /** Notes that the host was queried for its room. */
  updated(): void {
    this.#bytesSinceUpdate = 0
  }

  /** Moves the window's edge to `room` bytes beyond the accepted payload. Returns true if it moved. */
  moveEdge(room: number): boolean {
    const edge = this.windowEdgeToGuest
    // RFC 9293 3.8.6 SHOULD: a receiver doesn't shrink its window.
    this.windowEdgeToGuest = later(edge, (this.seqFromGuest + room) | 0)
    return this.windowEdgeToGuest !== edge
  }

  /**
   * Returns how many bytes the guest may have in flight.
   *
   * @param segmentSize largest payload of the guest's segments if it splits them itself; else 0
   */
  limit(segmentSize: number, now: number): number {
    if (segmentSize === 0 || !this.acknowledgesOnAccept) return WINDOW_LIMIT
    return Math.min((this.#queue?.segmentsAtOnce(now) ?? MOST_SEGMENTS) * segmentSize, WINDOW_LIMIT)
  }

  /** Notes that a segment with this acknowledgement, and the window from there to the edge, is about to be sent. */
  acknowledge(acknowledgement: number, now: number): void {
    if (this.ackToGuest !== acknowledgement) {
      this.ackToGuest = acknowledgement
      this.#openSince = now
    }
    const window = Math.max(distance(acknowledgement, this.windowEdgeToGuest), 0)
    this.windowToGuest = Math.min(window, 0xffff << this.windowScaleToGuest)
    this.due = Acknowledgement.none
  }

  /** First number beyond the window that we advertised last. */
  get advertisedEdge(): number {
    return (this.ackToGuest + this.windowToGuest) | 0
  }

  /** Notes a loss on the way from the guest: a segment has come ahead of the expected one. */
  noteLoss(now: number): void {
    this.#queue ??= new GuestQueue()
    this.#queue.noteLoss(this.seqFromGuest, this.windowEdgeToGuest, now)
  }

  /** True if a challenge acknowledgement may be sent now. */
  mayChallenge(now: number): boolean {
    // RFC 5961 7 SHOULD: challenge acknowledgements are limited in number.
    return this.#challengedAt < 0 || now - this.#challengedAt >= CHALLENGE_INTERVAL
  }

  challenged(now: number): void {
    this.#challengedAt = now
    this.request(true)
  }

  /** True if the correspondent is so near that payload counts as acknowledged once the host took it. */
  get acknowledgesOnAccept(): boolean {
    return this.#pollInterval < 0
  }

  /** Chooses how payload is acknowledged, by the round-trip time to the correspondent and its limit, microseconds. */
  chooseAcknowledgement(rtt: number, acknowledgeOnAcceptRtt: number): void {
    this.#pollInterval = rtt <= acknowledgeOnAcceptRtt ? -1 : Math.round(rtt / 4000)
  }

  /** Begins to wait for the correspondent's answer to a probe. */
  waitForCorrespondent(now: number): void {
    this.#openSince = now
  }

  /** Returns when the correspondent's acknowledgements are to be polled next. */
  pollAt(now: number): number {
    const interval = Math.min(Math.max(this.#pollInterval, 1), POLL_INTERVAL_LIMIT)
    const silence = Math.min((now - this.#openSince) >> POLL_SILENCE_SHIFT, POLL_SILENCE_LIMIT)
    return now + Math.max(interval, silence)
  }
}
