import type { Clock } from "./clock.ts"

/** What every runtime has; its types are not among those of the language. */
const { performance } = globalThis as unknown as { readonly performance: { now(): number } }

/** The runtime's monotonic clock, read once a turn. Runs anywhere. */
export class SystemClock implements Clock {
  readonly #start = performance.now()
  #at = this.#start
  now = 0

  /** Reads the clock, and returns `now`. */
  advance(): number {
    this.#at = performance.now()
    this.now = Math.floor(this.#at - this.#start)
    return this.now
  }

  spent(): number {
    return ((performance.now() - this.#at) * 1000) | 0
  }
}
