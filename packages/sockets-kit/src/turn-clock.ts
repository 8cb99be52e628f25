import type { Clock } from "@demiflow/core"

declare const performance: { now(): number }

/** The runtime's monotonic clock, read once a round. */
export class TurnClock implements Clock {
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
