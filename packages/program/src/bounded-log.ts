import type { Clock, Log } from "@demiflow/core"
import { RateBudget } from "@demiflow/protocol-kit"
import type { ProgramLog } from "./log.ts"

const LINES_PER_SECOND = 1
const LINES_AT_ONCE = 20

/**
 * A log for lines that the guest or the hypervisor can cause at will: 20 at once, then one a second, so that they
 * neither fill a disk nor keep the process busy with writing. Warnings are limited apart, so that no line of another kind
 * takes their place. A line reports how many were suppressed. Errors bypass the limit, since each occurs at most once,
 * and so does everything while debugging.
 */
export class BoundedLog implements Log {
  readonly isDebug: boolean
  readonly isTrace: boolean
  readonly #log: ProgramLog
  readonly #clock: Clock
  readonly #warnings = new RateBudget(LINES_PER_SECOND, LINES_AT_ONCE)
  readonly #others = new RateBudget(LINES_PER_SECOND, LINES_AT_ONCE)
  #left = 0

  constructor(log: ProgramLog, clock: Clock) {
    this.isDebug = log.isDebug
    this.isTrace = log.isTrace
    this.#log = log
    this.#clock = clock
  }

  error(message: string): void {
    this.#log.error(message)
  }

  warning(message: string): void {
    if (this.#mayWrite(this.#warnings)) this.#log.warning(message)
  }

  info(message: string): void {
    if (this.#log.isInfo && this.#mayWrite(this.#others)) this.#log.info(message)
  }

  debug(message: string): void {
    this.#log.debug(message)
  }

  trace(message: string): void {
    this.#log.trace(message)
  }

  /** Reports the number of lines suppressed since the last one written. Called at the end. */
  finish(): void {
    if (this.#left > 0) this.#log.warning(`${this.#left} more lines were left out`)
    this.#left = 0
  }

  #mayWrite(budget: RateBudget): boolean {
    if (this.isDebug) return true
    if (!budget.take(this.#clock.now)) {
      this.#left++
      return false
    }
    this.finish()
    return true
  }
}
