import type { Clock } from "@demiflow/core"
import type { Native } from "./native.ts"

/** The kernel's monotonic clock, read once a turn. Starts at 0 when it is made. */
export class MonotonicClock implements Clock {
  readonly #native: Native
  readonly #startMicroseconds: number
  #microseconds = 0
  /** Whole milliseconds at the last {@link MonotonicClock.advance}. */
  now = 0

  constructor(native: Native) {
    this.#native = native
    this.#startMicroseconds = native.monotonicMicroseconds()
  }

  /** Microseconds at the last {@link MonotonicClock.advance}. */
  get microseconds(): number {
    return this.#microseconds
  }

  /** Looks at the kernel's clock; answers `now`. */
  advance(): number {
    this.#microseconds = this.#native.monotonicMicroseconds() - this.#startMicroseconds
    this.now = Math.floor(this.#microseconds / 1000)
    return this.now
  }
}
