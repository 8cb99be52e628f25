import type { Log } from "./clock.ts"

/** What every runtime has; its types are not among those of the language. */
interface Console {
  error(message: string): void
  warn(message: string): void
  info(message: string): void
  debug(message: string): void
}

const LEVELS = ["error", "warning", "info", "debug", "trace"] as const

/** The least important messages that a log writes. */
export type ConsoleLogLevel = (typeof LEVELS)[number]

/** Writes messages to the console of the runtime, each by one call. */
export class ConsoleLog implements Log {
  readonly isDebug: boolean
  readonly isTrace: boolean
  readonly #level: number
  readonly #prefix: string

  /** @param prefix stands before each message: the name of the guest, for example */
  constructor(level: ConsoleLogLevel = "info", prefix = "") {
    this.#level = LEVELS.indexOf(level)
    this.isDebug = this.#level >= LEVELS.indexOf("debug")
    this.isTrace = this.#level >= LEVELS.indexOf("trace")
    this.#prefix = prefix === "" ? "" : `${prefix}: `
  }

  error(message: string): void {
    this.#write("error", message)
  }

  warning(message: string): void {
    this.#write("warning", message)
  }

  info(message: string): void {
    this.#write("info", message)
  }

  debug(message: string): void {
    this.#write("debug", message)
  }

  trace(message: string): void {
    this.#write("trace", message)
  }

  #write(level: ConsoleLogLevel, message: string): void {
    if (LEVELS.indexOf(level) > this.#level) return
    const line = this.#prefix + message
    const { console } = globalThis as unknown as { readonly console: Console }
    if (level === "error") console.error(line)
    else if (level === "warning") console.warn(line)
    else if (level === "info") console.info(line)
    // A trace of the console would be a stack trace.
    else console.debug(line)
  }
}
