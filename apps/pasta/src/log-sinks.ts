import type { Configuration } from "@demiflow/config"
import { type LogSink, type Machinery, openLog, openLogFile, standardError } from "@demiflow/program/data-path"

/** Where messages go, and whether that is also where to tell what happens while everything is as it should be. */
export interface Sinks {
  readonly sinks: readonly LogSink[]
  /** Those of them that aren't standard error. */
  readonly kept: readonly LogSink[]
  readonly tellsInfo: boolean
}

/**
 * Opens the log. Beside a command there is none but standard error, which is the command's, unless a file is asked for: so
 * only what is asked for is written there. Throws `Quit`.
 */
export function openSinks({ native, arena }: Machinery, configuration: Configuration): Sinks {
  const { verbosity, foreground, namespace, statisticsInterval, logFile } = configuration
  const isDebug = verbosity === "debug" || verbosity === "trace"
  if (namespace?.target.kind === "new") {
    const file = openLogFile(configuration)
    const sinks = file.length === 0 || isDebug ? [...file, standardError(verbosity)] : file
    return { sinks, kept: file, tellsInfo: logFile !== undefined || statisticsInterval !== undefined }
  }
  const log = openLog(native, arena, configuration)
  return { sinks: foreground ? [...log, standardError(verbosity)] : log, kept: log, tellsInfo: true }
}
