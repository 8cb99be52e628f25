/** So many at once, and so many a second after that: a token bucket, for what others could have us do without end. */
export class RateBudget {
  readonly #perMillisecond: number
  readonly #burst: number
  #tokens: number
  #lastRefill = 0

  /** Full. */
  constructor(perSecond: number, burst: number) {
    this.#perMillisecond = perSecond / 1000
    this.#burst = burst
    this.#tokens = burst
  }

  /** Takes a token if there is one. @param now clock milliseconds */
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
 * How many ICMP errors of our own making the guest gets: RFC 4443, section 2.4 (f), asks for a limit. The numbers that Linux
 * uses for itself (`icmp_msgs_per_sec`, `icmp_msgs_burst`). Errors that are only relayed were limited where they were made.
 */
export function icmpErrorBudget(): RateBudget {
  return new RateBudget(1000, 50)
}
