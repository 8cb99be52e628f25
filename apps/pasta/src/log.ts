import type { Verbosity } from "@demiflow/config"
import type { Log } from "@demiflow/core"
import { complain, tell } from "./messages.ts"

/** Messages on standard error: warnings for everybody, the rest for who asks for it. */
export class StandardErrorLog implements Log {
  readonly isDebug: boolean
  readonly isTrace: boolean
  readonly #start = performance.now()

  constructor(verbosity: Verbosity) {
    this.isTrace = verbosity === "trace"
    this.isDebug = this.isTrace || verbosity === "debug"
  }

  error(message: string): void {
    complain(message)
  }

  warning(message: string): void {
    complain(message)
  }

  /** What happens while everything is as it should be: for a program that stays in the background of another, debugging. */
  info(message: string): void {
    if (this.isDebug) this.#tellWithTime(message)
  }

  debug(message: string): void {
    if (this.isDebug) this.#tellWithTime(message)
  }

  trace(message: string): void {
    if (this.isTrace) this.#tellWithTime(message)
  }

  /** Seconds since the start. */
  #tellWithTime(message: string): void {
    tell(`${((performance.now() - this.#start) / 1000).toFixed(4)}: ${message}`)
  }
}
