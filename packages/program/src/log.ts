import type { Verbosity } from "@demiflow/config"
import type { Log } from "@demiflow/core"
import { complain, tell } from "./messages.ts"

/** How much a message matters, from the least to the most. */
export type Severity = "trace" | "debug" | "info" | "warning" | "error"

/** Somewhere that messages are written to. Never throws. */
export interface LogSink {
  /** @param seconds since the log began */
  write(severity: Severity, message: string, seconds: number): void
}

/** Messages for whom they matter to: the sinks get what the user has asked for. */
export class ProgramLog implements Log {
  readonly isDebug: boolean
  readonly isTrace: boolean
  /** Whether `info` writes anything. */
  readonly isInfo: boolean
  /** Where messages go. May be replaced at any time. */
  sinks: readonly LogSink[]
  /** Not of `performance`, which the runtime would have to load first. */
  readonly #start = process.uptime()

  /**
   * @param tellsInfo whether to tell what happens while everything is as it should be; a program that stays in the
   *   background of another tells it to who debugs only
   */
  constructor(verbosity: Verbosity, tellsInfo: boolean, sinks: readonly LogSink[]) {
    this.isTrace = verbosity === "trace"
    this.isDebug = this.isTrace || verbosity === "debug"
    this.isInfo = this.isDebug || (tellsInfo && verbosity !== "quiet")
    this.sinks = sinks
  }

  error(message: string): void {
    this.#write("error", message)
  }

  warning(message: string): void {
    this.#write("warning", message)
  }

  info(message: string): void {
    if (this.isInfo) this.#write("info", message)
  }

  debug(message: string): void {
    if (this.isDebug) this.#write("debug", message)
  }

  trace(message: string): void {
    if (this.isTrace) this.#write("trace", message)
  }

  #write(severity: Severity, message: string): void {
    const seconds = process.uptime() - this.#start
    for (const sink of this.sinks) sink.write(severity, message, seconds)
  }
}

/**
 * Standard error: problems with the program's name before them, of which only errors count for who wants it quiet; the rest
 * as it is, or, for who debugs, with the time.
 */
export function standardError(verbosity: Verbosity): LogSink {
  const hasTimes = verbosity === "debug" || verbosity === "trace"
  return {
    write(severity, message, seconds): void {
      if (severity === "warning" && verbosity === "quiet") return
      if (severity === "error" || severity === "warning") complain(message)
      else tell(hasTimes ? `${seconds.toFixed(4)}: ${message}` : message)
    },
  }
}
