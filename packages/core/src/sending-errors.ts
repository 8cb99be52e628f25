import { Errno } from "./host.ts"

/** Answers that are somebody else's, with which a call is repeated. */
export const MOST_OF_OTHERS = 32

/**
 * Tells apart, for one datagram at a time, what a sending call answers. The kernel has it answer an error that was reported about
 * an earlier datagram of the socket, which may be another flow's, or forged: a socket that isn't connected takes whatever report
 * quotes its port. Such an answer clears the error, and nothing was sent: the call is to be repeated. If reports keep coming,
 * the datagram is lost, but nobody is to hear that the host refused it.
 *
 * The kernel queues a report before it notes the error, so an error may be answered whose report the queue was emptied of before.
 * While reports come by thousands a second, a datagram in a thousand meets that twice.
 */
export class SendingErrors {
  #attempts = 0
  #isRepeatedBlindly = false
  #areReported = false

  /** The next answer is that of another datagram. */
  begin(): void {
    this.#attempts = 0
    this.#isRepeatedBlindly = false
    this.#areReported = false
  }

  /**
   * Whether the error that a call has answered may not be about its datagram, so that the call is to be repeated.
   *
   * @param answer a negated error number
   * @param reported entries, not of the host's, that the error queue held
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

  /** Whether an answer, a negated error number, is the host's own after all. */
  isHosts(answer: number): boolean {
    return !this.#areReported && !isNeverHosts(answer)
  }
}

/** The host refuses no datagram so: it is what others report, about whatever datagram. */
function isNeverHosts(answer: number): boolean {
  return answer === -Errno.ECONNREFUSED
}
