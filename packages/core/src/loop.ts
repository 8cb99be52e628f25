import type { Clock } from "./clock.ts"

/** What a loop drives: a stack. */
export interface Driven {
  /**
   * Time of the next turn if nothing happens before, in clock milliseconds; Infinity if there is no such time,
   * -Infinity if work is left.
   */
  nextDeadline(): number
  /** Runs a turn. */
  turn(): void
}

/**
 * One thread's event loop, as stacks see it. It delivers events, gives everything that it drives a turn, and waits for
 * events until the first deadline.
 */
export interface Loop {
  /** Advanced before events are delivered. */
  readonly clock: Clock
  /** Drives this as well, until {@link Loop.detach}. */
  attach(driven: Driven): void
  detach(driven: Driven): void
  /** Calls back while a descriptor is readable. Throws if the descriptor can't be watched. */
  watchReadable(descriptor: number, callback: () => void): void
  /** Stops that. No further event of the descriptor is delivered, not even one already gathered. */
  unwatch(descriptor: number): void
  /**
   * Has the runtime settle promises, and run what waits for them, soon. Called when foreign code that may use promises
   * was called in a turn. Absent: the runtime does so by itself.
   */
  requestTurn?(): void
}
