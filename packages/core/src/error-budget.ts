/**
 * How many ICMP errors of our own making the guest gets: RFC 4443, section 2.4 (f), asks for a limit. A token bucket, with
 * the numbers that Linux uses for itself (`icmp_msgs_per_sec`, `icmp_msgs_burst`). Errors that are only relayed were
 * limited where they were made.
 */
const PER_SECOND = 1000
const BURST = 50

/** Tokens, refilled as the clock goes. */
export class ErrorBudget {
  #tokens = BURST
  #lastRefill = 0

  /** Takes a token if there is one. @param now clock milliseconds */
  take(now: number): boolean {
    const refilled = this.#tokens + ((now - this.#lastRefill) * PER_SECOND) / 1000
    this.#tokens = refilled > BURST ? BURST : refilled
    this.#lastRefill = now
    if (this.#tokens < 1) return false
    this.#tokens--
    return true
  }
}
