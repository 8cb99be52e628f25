import type { Verbosity } from "@demiflow/config"
import type { Log } from "@demiflow/core"
import { complain, print } from "./messages.ts"

/** The severity of a message, from the lowest to the highest. */
export type Severity = "trace" | "debug" | "info" | "warning" | "error"

/** A destination of messages. Never throws. */
export interface LogSink {
  /** @param seconds since the log began */
  write(severity: Severity, message: string, seconds: number): void
}

/** Passes the messages that the verbosity asks for on to the sinks. */
export class ProgramLog implements Log {
  readonly isDebug: boolean
  readonly isTrace: boolean
  /** Whether `info` writes anything. */
  readonly isInfo: boolean
  /** Where messages go. May be replaced at any time. */
  sinks: readonly LogSink[]
  /** Not from `performance`, a module that the runtime would have to load first. */
  readonly #start = process.uptime()

  /**
   * @param writesInfo whether to log normal operation as well; a program in the background of a command logs it only
   * while debugging
   */
  constructor(verbosity: Verbosity, writesInfo: boolean, sinks: readonly LogSink[]) {
    this.isTrace = verbosity === "trace"
    this.isDebug = this.isTrace || verbosity === "debug"
    this.isInfo = this.isDebug || (writesInfo && verbosity !== "quiet")
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
 * Standard error. Errors and warnings have the program's name before them; a quiet program omits warnings. Other
 * messages are written as they are or, while debugging, with the time.
 */
export function standardError(verbosity: Verbosity): LogSink {
  const hasTimes = verbosity === "debug" || verbosity === "trace"
  return {
    write(severity, message, seconds): void {
      if (severity === "warning" && verbosity === "quiet") return
      if (severity === "error" || severity === "warning") complain(message)
      else print(hasTimes ? `${seconds.toFixed(4)}: ${message}` : message)
    },
  }
}
