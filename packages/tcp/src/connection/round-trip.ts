/** Round-trip time and retransmission time-out towards the guest (RFC 6298), milliseconds. */
import { distance } from "./sequence-number.ts"

/** RFC 6298, section 2 (2.1). */
const INITIAL_TIME_OUT = 1000
/** As Linux: the minimum of a second (RFC 6298, 2.4) is far too long for a link inside one machine. */
const MINIMUM_TIME_OUT = 200
/** RFC 6298, 2.5, allows a limit of at least 60 seconds. */
export const MAXIMUM_TIME_OUT = 60_000
const TIME_OUT_AFTER_LOST_SYN = 3000

/** What is known about the way to the guest and back. */
export class RoundTrip {
  /** Smoothed round-trip time; -1 before the first measurement. */
  #smoothed = -1
  #variation = 0
  /** Retransmission time-out. */
  timeOut: number = INITIAL_TIME_OUT
  /** Sequence number whose acknowledgement is timed, and the time when it was sent; -1 if none is timed. */
  #timedSeq = 0
  #timedSince = -1

  reset(): void {
    this.#smoothed = -1
    this.#variation = 0
    // RFC 6298 2.1 SHOULD: before a measurement, the time-out is one second.
    this.timeOut = INITIAL_TIME_OUT
    this.#timedSince = -1
  }

  /** Begins to time the acknowledgement of new payload up to `sequence`, unless another one is timed. */
  time(sequence: number, now: number): void {
    if (this.#timedSince >= 0) return
    this.#timedSeq = sequence
    this.#timedSince = now
  }

  /** Gives up the current measurement: what it times is about to be sent again. */
  cancel(): void {
    // RFC 6298 3 MUST: segments that were sent again are not measured.
    this.#timedSince = -1
  }

  /** Takes an acknowledgement of everything before `acknowledgement` into account. */
  acknowledged(acknowledgement: number, now: number): void {
    if (this.#timedSince < 0 || distance(this.#timedSeq, acknowledgement) < 0) return
    this.#measured(now - this.#timedSince)
    this.#timedSince = -1
  }

  /** Doubles the time-out after it has expired. */
  backOff(): void {
    // RFC 6298 5.5 MUST: an expired time-out doubles the next one. 2.5 MAY: up to a limit of at least 60 seconds.
    this.timeOut = Math.min(this.timeOut * 2, MAXIMUM_TIME_OUT)
  }

  /** Undoes the back-off of past time-outs: what was sent was lost with the link, not on the way. */
  withoutBackOff(): void {
    if (this.#smoothed < 0) this.timeOut = INITIAL_TIME_OUT
    else this.#setTimeOut()
  }

  /** Sets the time-out of a connection whose SYN from us had to be retransmitted. */
  afterLostSyn(): void {
    // RFC 6298 5.7 MUST: the time-out is three seconds when payload begins.
    this.timeOut = TIME_OUT_AFTER_LOST_SYN
  }

  #measured(rtt: number): void {
    if (this.#smoothed < 0) {
      // RFC 6298 2.2 MUST: the first measurement is the smoothed time, half of it the variation.
      this.#smoothed = rtt
      this.#variation = rtt / 2
    } else {
      // RFC 6298 2.3 MUST: the variation takes a quarter of the new error, then the smoothed time an eighth.
      const error = rtt - this.#smoothed
      this.#variation += (Math.abs(error) - this.#variation) / 4
      this.#smoothed += error / 8
    }
    this.#setTimeOut()
  }

  #setTimeOut(): void {
    const timeOut = Math.round(this.#smoothed + Math.max(1, 4 * this.#variation))
    this.timeOut = Math.min(Math.max(timeOut, MINIMUM_TIME_OUT), MAXIMUM_TIME_OUT)
  }
}
