/** Time, injected. */
export interface Clock {
  /**
   * Milliseconds since an arbitrary start, an integer that never decreases. Constant during one turn of the stack: the
   * system's clock is read once a turn, in `advance`.
   */
  readonly now: number
  /** Microseconds that the turn has taken. Reads the system's clock; absent if that isn't possible. */
  spent?(): number
}

/** Unpredictable numbers, injected. */
export interface Random {
  /** A uniformly distributed signed 32-bit integer. */
  int32(): number
}

/** Destination of log messages. Check `isDebug` or `isTrace` before building a costly message. */
export interface Log {
  readonly isDebug: boolean
  readonly isTrace: boolean
  error(message: string): void
  warning(message: string): void
  info(message: string): void
  debug(message: string): void
  trace(message: string): void
}

/** Discards every message. */
export const silentLog: Log = {
  isDebug: false,
  isTrace: false,
  error() {},
  warning() {},
  info() {},
  debug() {},
  trace() {},
}
