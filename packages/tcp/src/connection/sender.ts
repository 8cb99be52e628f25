/**
 * The half of a connection that sends to the guest: what may be sent now, what has to be sent again, and when.
 *
 * Numbers are signed 32-bit sequence numbers, sizes bytes, times clock milliseconds. Payload itself is nowhere here: a
 * driver reads it from wherever it is, by its distance from {@link Sender.ackFromGuest}.
 */
import type { CongestionControl } from "./congestion-control.ts"
import { MAXIMUM_TIME_OUT, RoundTrip } from "./round-trip.ts"
import { distance } from "./sequence-number.ts"

/** Duplicate acknowledgements that mean loss (RFC 5681, section 3.2). */
const DUPLICATE_THRESHOLD = 3
/** Segments beyond the congestion window before that (RFC 3042). */
const LIMITED_TRANSMIT = 2
/** Milliseconds without an answer to window probes after which the guest is gone. */
const PROBE_PATIENCE = 300_000

/** What the sender does about loss. */
export const Phase = {
  /** Nothing is known to be lost. */
  open: 0,
  /** Fast recovery: the missing segment is sent again (RFC 6582). */
  recovering: 1,
  /** The same, after a part is acknowledged: several are missing. */
  recoveringMore: 2,
  /** Everything unacknowledged is sent again: after a time-out or a shut window, or in smaller segments. */
  resending: 3,
} as const
type PhaseId = (typeof Phase)[keyof typeof Phase]

export class Sender {
  readonly roundTrip: RoundTrip = new RoundTrip()
  readonly #createCongestion: () => CongestionControl
  /** Limits what may be in flight, from the first loss on. */
  #congestion: CongestionControl | undefined = undefined
  /** Next sequence number to be sent. Moves back when everything is sent again. */
  seqToGuest = 0
  /** First sequence number never sent yet. */
  seqToGuestHighest = 0
  /** First sequence number that the guest has not acknowledged. */
  ackFromGuest = 0
  /** Window that the guest advertises. */
  windowFromGuest = 0
  /** Shift of the guest's windows; 0 if it doesn't scale. */
  windowScaleFromGuest = 0
  /** Largest window that the guest ever advertised: no acknowledgement is older than that (RFC 5961, section 5.2). */
  largestWindowFromGuest = 0
  /** Sequence number of the segment that the window came from. */
  #windowSeqFromGuest = 0
  /** Maximum payload of a segment to the guest. */
  mssToGuest = 0
  phase: PhaseId = Phase.open
  #duplicates = 0
  /**
   * Sequence number whose acknowledgement ends the phase. While nothing is known to be lost: where `seqToGuestHighest`
   * was at the first duplicate acknowledgement.
   */
  #recoverSeq = 0
  /** Time-outs in a row. */
  retries = 0
  /** When something has to be sent again, or the window to be probed; -1 if nothing. */
  retransmitAt = -1
  /** When `retransmitAt` became the time of a window probe; -1 if it isn't one. */
  #probingSince = -1
  /** Window probes sent since then. */
  #windowProbes = 0

  /** @param createCongestion creates the congestion control of a connection that has lost something */
  constructor(createCongestion: () => CongestionControl) {
    this.#createCongestion = createCongestion
  }

  /** Resets a pooled object for a new connection. */
  reset(): void {
    this.#congestion = undefined
    this.roundTrip.reset()
    this.windowFromGuest = 0
    this.windowScaleFromGuest = 0
    this.largestWindowFromGuest = 0
    this.#windowSeqFromGuest = 0
    this.phase = Phase.open
    this.#duplicates = 0
    this.retries = 0
    this.retransmitAt = -1
    this.#probingSince = -1
    this.#windowProbes = 0
  }

  /** Sets our initial sequence number. */
  begin(initial: number): void {
    this.seqToGuest = initial
    this.seqToGuestHighest = initial
    this.ackFromGuest = initial
  }

  /** Our initial sequence number, until the guest has acknowledged it. */
  get initialToGuest(): number {
    return this.ackFromGuest
  }

  /** Notes that our SYN, which takes one number, is sent. */
  sentSyn(): void {
    this.seqToGuest = (this.initialToGuest + 1) | 0
    this.seqToGuestHighest = this.seqToGuest
  }

  /** Notes that the guest has acknowledged our SYN. */
  established(acknowledgement: number): void {
    this.ackFromGuest = acknowledgement
    this.retransmitAt = -1
    if (this.retries > 0) this.roundTrip.afterLostSyn()
    this.retries = 0
  }

  /** Bytes sent, counted from `seqToGuest`, and not acknowledged. */
  get inFlight(): number {
    return (this.seqToGuest - this.ackFromGuest) | 0
  }

  /** Numbers ever sent and not acknowledged. */
  get unacknowledged(): number {
    return (this.seqToGuestHighest - this.ackFromGuest) | 0
  }

  /** True while what was sent before is sent again. */
  get isBehind(): boolean {
    return this.seqToGuest !== this.seqToGuestHighest
  }

  /** Bytes that may be sent now. */
  get room(): number {
    const congestion = this.#congestion
    const { windowFromGuest } = this
    if (congestion === undefined) return windowFromGuest - this.inFlight
    return Math.min(windowFromGuest, congestion.window + this.#limitedTransmit) - this.inFlight
  }

  /** Bytes that may be sent beyond the congestion window. */
  get #limitedTransmit(): number {
    // RFC 3042 2 SHOULD: each of the first two duplicate acknowledgements lets a segment of new payload go.
    // The congestion window stays the same.
    if (this.#duplicates === 0 || this.phase !== Phase.open) return 0
    return Math.min(this.#duplicates, LIMITED_TRANSMIT) * this.mssToGuest
  }

  get #isRecovering(): boolean {
    return this.phase === Phase.recovering || this.phase === Phase.recoveringMore
  }

  /**
   * True if the room is so small that it is better to wait for more. A short segment may still be sent if it is all the
   * payload there is.
   */
  isSilly(room: number): boolean {
    // RFC 9293 3.8.6.2.1 MUST: a sender avoids silly windows: it waits for a whole segment, or half of the guest's
    //   largest window, unless nothing is in flight
    return room < this.mssToGuest && room < this.largestWindowFromGuest >> 1 && this.inFlight > 0
  }

  /** As {@link Sender.isSilly}, where the guest can't be delaying the acknowledgement of two segments or fewer. */
  isSillyForSure(room: number): boolean {
    return this.isSilly(room) && this.inFlight > 2 * this.mssToGuest
  }

  /** Sets the window of the segment with this sequence number. */
  setWindow(sequence: number, window: number): void {
    this.windowFromGuest = window
    this.#windowSeqFromGuest = sequence
    if (window > this.largestWindowFromGuest) this.largestWindowFromGuest = window
  }

  /**
   * Takes over the window of a segment, if it is newer than the one known. A window counts from its acknowledgement, so
   * a segment that acknowledges more always updates the window: a guest that retransmits uses an old sequence number.
   * Smaller windows count as well: a Linux guest that is short of memory drops payload inside its window, and reports
   * that by a window of 0.
   */
  updateWindow(sequence: number, acknowledgement: number, window: number): void {
    // RFC 9293 3.10.7.4 SHOULD: an older segment doesn't update the window.
    const isNewer = distance(this.#windowSeqFromGuest, sequence) >= 0
    if (isNewer || distance(this.ackFromGuest, acknowledgement) > 0) this.setWindow(sequence, window)
  }

  /** True if the guest can have sent this acknowledgement. Otherwise the segment is challenged, and not processed. */
  isPlausible(acknowledgement: number): boolean {
    // RFC 9293 3.10.7.4 MUST: an acknowledgement of what was never sent is answered, and the segment dropped.
    if (distance(this.seqToGuestHighest, acknowledgement) > 0) return false
    // RFC 5961 5.2 MUST: no acknowledgement is older than the largest window.
    return distance(acknowledgement, this.ackFromGuest) <= this.largestWindowFromGuest
  }

  /**
   * Handles an acknowledgement of everything before `acknowledgement`, which is no later than what was sent. Returns
   * true if the first unacknowledged segment must be sent again now.
   *
   * @param isPure true if the segment had no payload and left the window unchanged
   */
  acknowledged(acknowledgement: number, isPure: boolean, now: number): boolean {
    const bytes = distance(this.ackFromGuest, acknowledgement)
    if (bytes <= 0) return bytes === 0 && isPure && this.unacknowledged > 0 && this.#duplicate()
    this.ackFromGuest = acknowledgement
    if (distance(this.seqToGuest, acknowledgement) > 0) this.seqToGuest = acknowledgement
    this.roundTrip.acknowledged(acknowledgement, now)
    this.#duplicates = 0
    this.retries = 0
    // RFC 6298 5.2 SHOULD: the timer stops when everything is acknowledged. 5.3: it starts anew when something is.
    const isCovered = distance(this.#recoverSeq, acknowledgement) >= 0
    const isRecovering = this.#isRecovering
    if (acknowledgement === this.seqToGuestHighest) this.retransmitAt = -1
    // RFC 6582 3.2 SHOULD: in recovery, only the first partial acknowledgement starts it anew.
    else if (isCovered || this.phase !== Phase.recoveringMore) this.startTimer(now)
    if (isRecovering && !isCovered) {
      // RFC 6582 3.2 SHOULD: a partial acknowledgement shows that the next segment is lost as well.
      this.#congestion?.partial(bytes, this.mssToGuest)
      this.phase = Phase.recoveringMore
      return true
    }
    if (isRecovering) this.#congestion?.recovered()
    else this.#congestion?.acknowledged(bytes, this.mssToGuest, this.windowFromGuest)
    if (isCovered) this.phase = Phase.open
    return false
  }

  /**
   * Updates numbers and timer after segments up to `seqToGuest` were sent. Returns true if the timer has started.
   */
  sent(now: number): boolean {
    if (distance(this.seqToGuestHighest, this.seqToGuest) > 0) {
      this.seqToGuestHighest = this.seqToGuest
      this.roundTrip.time(this.seqToGuest, now)
    }
    // RFC 6298 5.1 SHOULD: the timer runs while something is in flight.
    if (this.retransmitAt >= 0 && this.#probingSince < 0) return false
    this.startTimer(now)
    return true
  }

  startTimer(now: number): void {
    this.#probingSince = -1
    this.#windowProbes = 0
    this.retransmitAt = now + this.roundTrip.timeOut
  }

  /** Notes that our SYN has timed out. */
  synTimedOut(): void {
    this.retries++
    this.roundTrip.backOff()
  }

  /** Notes that the retransmission time-out has expired: everything unacknowledged is to be sent again. */
  timedOut(): void {
    this.retries++
    // RFC 6298 5.5 MUST: the time-out doubles.
    this.roundTrip.backOff()
    this.#limit().timedOut(this.inFlight, this.mssToGuest, this.retries === 1)
    this.#startOver()
  }

  /** Sends everything again in segments of this size: the path is too narrow for those in flight. */
  narrow(now: number): void {
    this.goBack()
    this.startTimer(now)
  }

  /** Goes back to the first unacknowledged byte, for a reason that isn't congestion. */
  goBack(): void {
    if (this.#isRecovering) this.#congestion?.recovered()
    this.#startOver()
  }

  /** Makes everything due at once: what was sent was lost with the link. */
  retryNow(now: number): void {
    this.retries = 0
    this.roundTrip.withoutBackOff()
    this.retransmitAt = now
    this.#windowProbes = 0
  }

  /**
   * Waits for a larger window. With nothing in flight, only a probe can find out that it has opened: returns true if
   * its timer has started.
   */
  waitForWindow(now: number): boolean {
    if (this.inFlight > 0 || this.retransmitAt >= 0) return false
    this.#probingSince = now
    this.#windowProbes = 0
    this.#probeLater(now)
    return true
  }

  /** True if the guest has answered no window probe for so long that it is gone. */
  isProbedInVain(lastFromGuest: number, now: number): boolean {
    if (this.#probingSince < 0) this.#probingSince = now
    // RFC 9293 3.8.6.1 MUST: a shut window keeps the connection for as long as the guest answers probes.
    return now - Math.max(lastFromGuest, this.#probingSince) > PROBE_PATIENCE
  }

  /** Notes that the window was probed once more. */
  probed(now: number): void {
    this.#windowProbes++
    this.#probeLater(now)
  }

  #probeLater(now: number): void {
    // RFC 9293 3.8.6.1 SHOULD: the first probe comes after the time-out, and the interval grows exponentially.
    this.retransmitAt = now + Math.min(this.roundTrip.timeOut * 2 ** this.#windowProbes, MAXIMUM_TIME_OUT)
  }

  /** Handles a duplicate acknowledgement. Returns true if it means loss. */
  #duplicate(): boolean {
    // Answers to a window probe don't mean loss.
    if (this.windowFromGuest === 0) return false
    // RFC 6582 3.2 SHOULD: nor do answers to what is sent again after a time-out.
    // The guest may have received that before.
    if (this.phase === Phase.resending) return false
    this.#duplicates++
    if (this.#isRecovering) this.#congestion?.duplicateInRecovery(this.mssToGuest)
    else if (this.#duplicates === 1) this.#recoverSeq = this.seqToGuestHighest
    else if (this.#duplicates === DUPLICATE_THRESHOLD) {
      // RFC 5681 3.2 MUST: what limited transmit has sent doesn't count as in flight.
      this.#limit().lost(distance(this.ackFromGuest, this.#recoverSeq), this.mssToGuest)
      // RFC 5681 3.2 SHOULD: the third duplicate acknowledgement sends the missing segment again.
      this.phase = Phase.recovering
      this.#recoverSeq = this.seqToGuestHighest
      this.roundTrip.cancel()
      return true
    }
    return false
  }

  /** Something is lost: congestion control begins, unless it has. */
  #limit(): CongestionControl {
    this.#congestion ??= this.#createCongestion()
    return this.#congestion
  }

  /** Everything unacknowledged is to be sent again. */
  #startOver(): void {
    this.phase = Phase.resending
    this.#recoverSeq = this.seqToGuestHighest
    this.seqToGuest = this.ackFromGuest
    this.#duplicates = 0
    this.roundTrip.cancel()
  }
}
