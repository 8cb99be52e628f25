/**
 * Decides how many bytes may be in flight to the guest. The link to the guest usually loses nothing, so there is no
 * limit, and no object of this kind, before the first loss of a connection. From then on, a {@link Sender} reports what
 * the guest acknowledged and what was lost. Sizes are in bytes; `segmentSize` is the largest payload of a segment at
 * that moment.
 */
export interface CongestionControl {
  /** Bytes that may be in flight now. */
  readonly window: number

  /**
   * New bytes are acknowledged, and nothing is known to be lost.
   *
   * @param windowFromGuest the guest's window
   */
  acknowledged(bytes: number, segmentSize: number, windowFromGuest: number): void

  /**
   * A segment is lost: recovery begins.
   *
   * @param flight bytes that were in flight at the first sign of that
   */
  lost(flight: number, segmentSize: number): void

  /** A further duplicate acknowledgement in recovery: one more segment has left the network. */
  duplicateInRecovery(segmentSize: number): void

  /** New bytes are acknowledged in recovery, but another segment is missing. */
  partial(bytes: number, segmentSize: number): void

  /** Recovery is over. */
  recovered(): void

  /**
   * The retransmission time-out has expired. That ends recovery.
   *
   * @param flight bytes in flight: without those that were sent before an earlier time-out, and not since
   * @param isFirst false if what has timed out was sent again before
   */
  timedOut(flight: number, segmentSize: number, isFirst: boolean): void
}
