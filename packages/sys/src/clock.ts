import type { Arena, Clock } from "@demiflow/core"
import type { Native } from "./native.ts"

/** The kernel's monotonic clock, read once a turn. Starts at 0 when constructed. */
export class MonotonicClock implements Clock {
  readonly #native: Native
  readonly #view: DataView
  /**
   * Arena offset to which the kernel's time is written: returned from a call, a number of that size would be a heap
   * object.
   */
  readonly #offset: number
  readonly #startMicroseconds: number
  #microseconds = 0
  /** The lowest 32 bits of the kernel's clock at the last {@link MonotonicClock.advance}. */
  #word = 0
  /** Whole milliseconds at the last {@link MonotonicClock.advance}. */
  now = 0

  constructor(native: Native, arena: Arena) {
    this.#native = native
    this.#view = arena.view
    this.#offset = arena.reserve(8, 8, "the monotonic clock")
    this.#startMicroseconds = this.#read()
  }

  /** Microseconds at the last {@link MonotonicClock.advance}. */
  get microseconds(): number {
    return this.#microseconds
  }

  /** Reads the kernel's clock and returns `now`. */
  advance(): number {
    const microseconds = this.#read()
    this.#word = microseconds | 0
    this.#microseconds = microseconds - this.#startMicroseconds
    this.now = Math.floor(this.#microseconds / 1000)
    return this.now
  }

  spent(): number {
    return (this.#native.monotonicWord() - this.#word) | 0
  }

  #read(): number {
    this.#native.storeMonotonic(this.#offset)
    return this.#view.getFloat64(this.#offset, true)
  }
}
