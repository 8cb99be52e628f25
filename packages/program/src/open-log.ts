import type { Configuration } from "@demiflow/config"
import type { Arena } from "@demiflow/core"
import type { Native } from "@demiflow/sys"
import type { LogSink } from "./log.ts"
import { LogFile } from "./log-file.ts"
import { SystemLog } from "./system-log.ts"

/** The file that the user wants the log in; none if that isn't asked for. Throws `Quit`. */
export function openLogFile({ program, logFile }: Configuration): LogSink[] {
  if (logFile === undefined) return []
  const started = `${program} started as process ${process.pid}, ${new Date().toISOString()}`
  return [new LogFile(logFile.path, logFile.maximumSize, started)]
}

/**
 * Where the log of a program goes that is on its own, beside standard error in the foreground: to the file that the user
 * names, else to the system's log, but not while debugging. Throws `Quit`.
 */
export function openLog(native: Native, arena: Arena, configuration: Configuration): LogSink[] {
  const { program, verbosity, logFile } = configuration
  if (logFile !== undefined) return openLogFile(configuration)
  if (verbosity === "debug" || verbosity === "trace") return []
  const system = SystemLog.open(native, arena, `${program}[${process.pid}]`)
  return system === undefined ? [] : [system]
}
