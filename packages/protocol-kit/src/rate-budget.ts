/** A token bucket that limits work which others could cause without end: `burst` at once, then `perSecond`. */
export class RateBudget {
  readonly #perMillisecond: number
  readonly #burst: number
  #tokens: number
  #lastRefill = 0

  /** Starts full. */
  constructor(perSecond: number, burst: number) {
    this.#perMillisecond = perSecond / 1000
    this.#burst = burst
    this.#tokens = burst
  }

  /**
   * Takes a token if there is one.
   *
   * @param now clock milliseconds
   */
  take(now: number): boolean {
    const refilled = this.#tokens + (now - this.#lastRefill) * this.#perMillisecond
    this.#tokens = refilled > this.#burst ? this.#burst : refilled
    this.#lastRefill = now
    if (this.#tokens < 1) return false
    this.#tokens--
    return true
  }
}

/**
 * Returns the limit of ICMP errors that we send to the guest on our own account (RFC 4443, section 2.4 (f)). The
 * numbers are Linux's own defaults (`icmp_msgs_per_sec`, `icmp_msgs_burst`). Relayed errors were limited at their
 * origin.
 */
export function icmpErrorBudget(): RateBudget {
  return new RateBudget(1000, 50)
}
