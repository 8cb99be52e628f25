/**
 * A limit of segments in flight from the guest, so that they aren't lost in the guest's queue.
 *
 * Between the guest's TCP and us is the guest's network device, whose queue takes some hundreds of frames (a tap device
 * of Linux: 500). A guest that splits its segments itself can fill the queue with a fraction of the window that the
 * host has room for, and the rest is lost. If the correspondent is near, the guest's payload is acknowledged at once,
 * and a window of a few hundred segments keeps everybody busy. The longer path to a far correspondent needs the whole
 * window, and spreads the segments by itself.
 *
 * A gap in front of later segments was lost in that queue. Then the connection shares the queue with others, and its
 * limit is halved. The limit grows again while nothing is lost.
 */
import { distance } from "./sequence-number.ts"

/** The largest number of segments in flight: the guest's queue surely takes as many. */
export const MOST_SEGMENTS = 256
/** The least number, however many are lost. */
const FEWEST_SEGMENTS = 32
/** Milliseconds without a loss after which the limit doubles. */
const QUIET = 1000
/** A time in the past for every purpose, clock milliseconds. */
const LONG_AGO = -1_000_000

export class GuestQueue {
  #segments: number = MOST_SEGMENTS
  /** Time of the last loss, or of the last increase after it: clock milliseconds. */
  #lossAt: number = LONG_AGO
  /** First sequence number that can't have been in flight at that loss. */
  #lossEnd = 0

  /**
   * Records a loss. Losses within one window count as one (as RFC 6582 has it).
   *
   * @param expected the sequence number that is missing
   * @param edge the first one beyond the window
   */
  noteLoss(expected: number, edge: number, now: number): void {
    const isSame = distance(this.#lossEnd, expected) < 0
    if (isSame && now - this.#lossAt < QUIET) return
    this.#lossAt = now
    this.#lossEnd = edge
    this.#segments = Math.max(this.#segments >> 1, FEWEST_SEGMENTS)
  }

  /** Returns the number of segments that the guest may have in flight. */
  segmentsAtOnce(now: number): number {
    if (this.#segments < MOST_SEGMENTS && now - this.#lossAt >= QUIET) {
      this.#lossAt = now
      this.#segments *= 2
    }
    return this.#segments
  }
}
