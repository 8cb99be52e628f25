/**
 * The process that moves the packets. The launcher starts it with the descriptors of {@link DataPathDescriptor}, and
 * receives the reports that report.ts defines.
 *
 * It opens all that it needs, changes from root to another user if necessary, and reports that it is ready. From then
 * on it is one event loop over the tap device, the host's sockets, and what determines its life: the command's init, or
 * the namespace that it has joined. In the background it then holds nothing of the caller's, and its messages go to the
 * log.
 */
import { closeSync, readFileSync, writeSync } from "node:fs"
import { decodeConfiguration, runsInBackground } from "@demiflow/config"
import { keepDebuggerShut, nameProgram, sentenceOf } from "@demiflow/program/command"
import {
  closeHandedOver,
  type DataPathSettings,
  type LogSink,
  Machinery,
  ProgramLog,
  pastaCalls,
  raiseWall,
} from "@demiflow/program/data-path"
import { DataPath } from "./assembly.ts"
import { DataPathDescriptor } from "./descriptors.ts"
import { openSinks } from "./log-sinks.ts"
import type { DataPathReport } from "./report.ts"

const STATUS_FAILED = 1

/** Used until the launcher has gone. */
const toLauncher: LogSink = {
  write: (_severity, message) => report({ kind: "message", message }),
}

nameProgram("pasta")
let reportFailure = (message: string): void => report({ kind: "failed", message })
process.on("uncaughtException", fail)
main().catch(fail)

async function main(): Promise<void> {
  keepDebuggerShut()
  const text = readFileSync(DataPathDescriptor.settings, "utf8")
  // The launcher has given up, and reported why.
  if (text === "") process.exit(STATUS_FAILED)
  const settings = JSON.parse(text) as DataPathSettings
  const configuration = decodeConfiguration(settings.configuration)
  const isBackground = runsInBackground(configuration)
  // The name by which users find the process in order to end it.
  if (isBackground) process.title = "pasta"
  const machinery = new Machinery()
  const { sinks, kept, writesInfo } = openSinks(machinery, configuration)
  const log = new ProgramLog(configuration.verbosity, writesInfo, isBackground ? [toLauncher] : sinks)
  const dataPath = new DataPath(machinery, { ...settings, configuration, isBackground }, log)
  closeHandedOver(configuration)
  // Once the wall is up, the working folder can't be changed.
  if (isBackground) process.chdir("/")
  const wall = { empty: DataPathDescriptor.empty, helper: DataPathDescriptor.emptying }
  raiseWall(machinery, wall, pastaCalls(process.pid, dataPath.watchesPath), log, [])
  report({ kind: "ready", init: dataPath.init })
  if (isBackground) {
    leaveLauncher()
    log.sinks = sinks
  }
  reportFailure = (message) => {
    log.sinks = kept
    log.error(message)
    // The launcher writes it to standard error.
    if (!isBackground) report({ kind: "failed", message })
  }
  const status = await dataPath.run()
  if (!isBackground && status !== undefined) report({ kind: "ended", status })
  process.exit(0)
}

/** Closes what is still the caller's. */
function leaveLauncher(): void {
  closeSync(DataPathDescriptor.settings)
  closeSync(DataPathDescriptor.report)
}

function fail(error: unknown): never {
  reportFailure(sentenceOf(error))
  process.exit(STATUS_FAILED)
}

function report(message: DataPathReport): void {
  try {
    writeSync(DataPathDescriptor.report, `${JSON.stringify(message)}\n`)
  } catch {
    // The launcher is gone, and there is nobody else to report to.
    process.exit(STATUS_FAILED)
  }
}
