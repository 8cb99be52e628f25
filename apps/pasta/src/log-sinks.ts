import type { Configuration } from "@demiflow/config"
import { type LogSink, type Machinery, openLog, openLogFile, standardError } from "@demiflow/program/data-path"

/** The sinks for messages, and whether they also get reports of normal operation. */
export interface Sinks {
  readonly sinks: readonly LogSink[]
  /** The sinks other than standard error. */
  readonly kept: readonly LogSink[]
  readonly writesInfo: boolean
}

/**
 * Opens the log. Beside a command there is only standard error, which is the command's as well, unless the user names a
 * file. So normal operation is reported only to a file, with `--stats`, or while debugging. Throws `Quit`.
 */
export function openSinks({ native, arena }: Machinery, configuration: Configuration): Sinks {
  const { verbosity, foreground, namespace, statisticsInterval, logFile } = configuration
  const isDebug = verbosity === "debug" || verbosity === "trace"
  if (namespace?.target.kind === "new") {
    const file = openLogFile(configuration)
    const sinks = file.length === 0 || isDebug ? [...file, standardError(verbosity)] : file
    return { sinks, kept: file, writesInfo: logFile !== undefined || statisticsInterval !== undefined }
  }
  const log = openLog(native, arena, configuration)
  return { sinks: foreground ? [...log, standardError(verbosity)] : log, kept: log, writesInfo: true }
}
