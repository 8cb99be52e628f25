/** Time, injected. */
export interface Clock {
  /**
   * Milliseconds since an arbitrary start, an integer that never goes back. Constant during one turn of the stack: read
   * the system's clock once a turn, in `advance`.
   */
  readonly now: number
  /** Microseconds since then: how long the turn has taken so far. Looks at the system's clock; absent where that isn't known. */
  spent?(): number
}

/** Unpredictable numbers, injected. */
export interface Random {
  /** A uniformly distributed signed 32-bit integer. */
  int32(): number
}

/** Where messages go. Callers check `isDebug` or `isTrace` before they build a costly message. */
export interface Log {
  readonly isDebug: boolean
  readonly isTrace: boolean
  error(message: string): void
  warning(message: string): void
  info(message: string): void
  debug(message: string): void
  trace(message: string): void
}

/** Drops every message. */
export const silentLog: Log = {
  isDebug: false,
  isTrace: false,
  error() {},
  warning() {},
  info() {},
  debug() {},
  trace() {},
}
