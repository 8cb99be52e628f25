import { Errno } from "@demiflow/core"

/** Most repetitions of a call that returns other datagrams' errors. */
export const MOST_OF_OTHERS = 32

/**
 * Separates a datagram's own error from one reported about another datagram, for one datagram at a time.
 *
 * A sending call also returns an error that was reported about an earlier datagram of the socket. That datagram may be
 * another flow's, or the report may be forged: an unconnected socket accepts any report that quotes its port. Returning
 * the error clears it, and nothing was sent: the call must be repeated. If reports keep coming, the datagram is lost,
 * but must not be reported as refused by the host.
 *
 * The kernel queues a report before it sets the socket's error, so a call may return an error whose report was already
 * drained from the queue. With thousands of reports a second, one datagram in a thousand meets that twice.
 */
export class SendingErrors {
  #attempts = 0
  #isRepeatedBlindly = false
  #areReported = false

  /** Starts over for another datagram. */
  begin(): void {
    this.#attempts = 0
    this.#isRepeatedBlindly = false
    this.#areReported = false
  }

  /**
   * Returns whether the error may be about another datagram, so that the call must be repeated.
   *
   * @param answer a negated error number
   * @param reported entries in the error queue that the host itself did not report
   */
  mayBeOthers(answer: number, reported: number): boolean {
    this.#areReported = reported > 0
    if (this.#areReported || isNeverHosts(answer)) {
      this.#isRepeatedBlindly = false
      return this.#attempts++ < MOST_OF_OTHERS
    }
    if (this.#isRepeatedBlindly) return false
    this.#isRepeatedBlindly = true
    return this.#attempts++ < MOST_OF_OTHERS
  }

  /** Returns whether an error, a negated error number, is the host's own after all. */
  isHosts(answer: number): boolean {
    return !this.#areReported && !isNeverHosts(answer)
  }
}

/** The host itself refuses no datagram with this error: only others report it, about any datagram. */
function isNeverHosts(answer: number): boolean {
  return answer === -Errno.ECONNREFUSED
}
