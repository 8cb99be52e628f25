/**
 * The congestion window towards the guest: Reno (RFC 5681), with recovery as in RFC 6582, from the first loss on until
 * it has grown beyond any window of the guest.
 */
import type { CongestionControl } from "./congestion-control.ts"

/** A congestion window without effect. */
export const UNLIMITED = 0x3fffffff
/** Bytes: a congestion window above this, and above twice the guest's window, no longer limits anything. */
const AMPLE = 4 << 20
/** Duplicate acknowledgements before recovery begins. */
const DUPLICATES = 3

export class NewReno implements CongestionControl {
  window: number = UNLIMITED
  /** Slow start below it, congestion avoidance above. */
  #threshold = UNLIMITED
  #isRecovering = false

  acknowledged(bytes: number, segmentSize: number, windowFromGuest: number): void {
    if (this.window >= UNLIMITED) return
    const { window } = this
    // RFC 5681 3.1 SHOULD: congestion avoidance adds one segment in a round trip.
    // An acknowledgement may stand for many segments that the guest's device has joined, so bytes are counted, not
    // acknowledgements. After a time-out, it may stand for all that the guest has kept: slow start ends at the
    // threshold, however much that is.
    const grown =
      window < this.#threshold
        ? Math.min(window + bytes, this.#threshold)
        : window + Math.ceil((segmentSize * Math.min(bytes, window)) / window)
    this.window = grown > AMPLE && grown > windowFromGuest * 2 ? UNLIMITED : grown
  }

  lost(flight: number, segmentSize: number): void {
    // RFC 5681 3.2 MUST: the threshold is at most half of what was in flight, or two segments.
    this.#threshold = Math.max(flight >> 1, 2 * segmentSize)
    // RFC 5681 3.2 MUST: the window is the threshold and the three segments that have left the network.
    this.window = this.#threshold + DUPLICATES * segmentSize
    this.#isRecovering = true
  }

  duplicateInRecovery(segmentSize: number): void {
    // RFC 5681 3.2 MUST: the window grows by each further segment that has left the network.
    this.window += segmentSize
  }

  partial(bytes: number, segmentSize: number): void {
    // RFC 6582 3.2 SHOULD: the window shrinks by what is acknowledged, but for the segment that is sent again.
    const shrunk = this.window - bytes + (bytes >= segmentSize ? segmentSize : 0)
    this.window = Math.max(shrunk, segmentSize)
  }

  recovered(): void {
    // RFC 6582 3.2 SHOULD: the window deflates to the threshold.
    // What is sent at once then is at most half of what was sent at once before the loss.
    this.window = this.#threshold
    this.#isRecovering = false
  }

  timedOut(flight: number, segmentSize: number, isFirst: boolean): void {
    // RFC 5681 3.1 MUST: the threshold is at most half of what is in flight, or two segments; it stays if the same
    //   payload times out again
    if (isFirst) {
      const half = Math.max(flight >> 1, 2 * segmentSize)
      // In recovery, the loss is known, and what is in flight includes all that duplicate acknowledgements let go.
      this.#threshold = this.#isRecovering ? Math.min(this.#threshold, half) : half
    }
    this.#isRecovering = false
    // RFC 5681 3.1 MUST: after a time-out the window is one segment.
    this.window = segmentSize
  }
}
