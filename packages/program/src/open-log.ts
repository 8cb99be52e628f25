import type { Configuration } from "@demiflow/config"
import type { Arena } from "@demiflow/core"
import type { Native } from "@demiflow/sys"
import type { LogSink } from "./log.ts"
import { LogFile } from "./log-file.ts"
import { SystemLog } from "./system-log.ts"

/** Opens the log file that the user names, if any. Throws `Quit`. */
export function openLogFile({ program, logFile }: Configuration): LogSink[] {
  if (logFile === undefined) return []
  const started = `${program} started as process ${process.pid}, ${new Date().toISOString()}`
  return [new LogFile(logFile.path, logFile.maximumSize, started)]
}

/**
 * Opens the log of a program that runs on its own: the file that the user names, else the system's log, but not while
 * debugging. In the foreground, standard error is used besides. Throws `Quit`.
 */
export function openLog(native: Native, arena: Arena, configuration: Configuration): LogSink[] {
  const { program, verbosity, logFile } = configuration
  if (logFile !== undefined) return openLogFile(configuration)
  if (verbosity === "debug" || verbosity === "trace") return []
  const system = SystemLog.open(native, arena, `${program}[${process.pid}]`)
  return system === undefined ? [] : [system]
}
