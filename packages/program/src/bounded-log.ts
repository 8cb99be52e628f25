import { type Clock, type Log, RateBudget } from "@demiflow/core"
import type { ProgramLog } from "./log.ts"

const LINES_PER_SECOND = 1
const LINES_AT_ONCE = 20

/**
 * A log for lines that the guest or the hypervisor causes, as often as it likes: 20 at once, then one a second, so that neither
 * fills a disk or has us do nothing but write. A line reports how many were
 * left out. Errors are written always, as they come but once; while debugging, all lines are.
 */
export class BoundedLog implements Log {
  readonly isDebug: boolean
  readonly isTrace: boolean
  readonly #log: ProgramLog
  readonly #clock: Clock
  readonly #budget = new RateBudget(LINES_PER_SECOND, LINES_AT_ONCE)
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
    if (this.#mayTell()) this.#log.warning(message)
  }

  info(message: string): void {
    // A line that isn't written mustn't take the place of a warning.
    if (this.#log.isInfo && this.#mayTell()) this.#log.info(message)
  }

  debug(message: string): void {
    this.#log.debug(message)
  }

  trace(message: string): void {
    this.#log.trace(message)
  }

  /** Reports how many lines were left out since the last one: at the end, when there is no next one. */
  finish(): void {
    if (this.#left > 0) this.#log.warning(`${this.#left} more lines were left out`)
    this.#left = 0
  }

  #mayTell(): boolean {
    if (this.isDebug) return true
    if (!this.#budget.take(this.#clock.now)) {
      this.#left++
      return false
    }
    this.finish()
    return true
  }
}
