import type { Log } from "@demiflow/core"

/** The level of a message. */
export type LogLevel = "error" | "warning" | "info" | "debug" | "trace"

/** Keeps log messages for a test to read. */
export class RecordingLog implements Log {
  readonly isDebug: boolean
  readonly isTrace: boolean
  readonly entries: { readonly level: LogLevel; readonly message: string }[] = []

  /** @param level the lowest level that is kept; debug by default, because a trace of a long run is large */
  constructor(level: "info" | "debug" | "trace" = "debug") {
    this.isTrace = level === "trace"
    this.isDebug = level !== "info"
  }

  error(message: string): void {
    this.entries.push({ level: "error", message })
  }

  warning(message: string): void {
    this.entries.push({ level: "warning", message })
  }

  info(message: string): void {
    this.entries.push({ level: "info", message })
  }

  debug(message: string): void {
    if (this.isDebug) this.entries.push({ level: "debug", message })
  }

  trace(message: string): void {
    if (this.isTrace) this.entries.push({ level: "trace", message })
  }

  /** The messages of a level, or of all. */
  messages(level?: LogLevel): string[] {
    return this.entries.filter((entry) => level === undefined || entry.level === level).map((entry) => entry.message)
  }

  /** One line for each message, for the output of a failed test. */
  toString(): string {
    return this.entries.map(({ level, message }) => `${level}: ${message}`).join("\n")
  }
}
