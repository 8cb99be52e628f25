/**
 * The process that moves the packets. Started by the launcher with the descriptors of {@link DataPathDescriptor}; everything
 * it says to the launcher is in report.ts.
 *
 * It opens all that it needs, changes from root to another user if it has to, says that it is ready, and is from then on
 * one event loop over the tap device, the host's sockets and what its life depends on: the command's init, or the namespace
 * that it has joined. In the background it has nothing of the caller's from then on, and nobody listens to it: what there is
 * to say goes to the log.
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

/** Until the launcher has gone. */
const toLauncher: LogSink = {
  write: (_severity, message) => report({ kind: "message", message }),
}

nameProgram("pasta")
let tellFailure = (message: string): void => report({ kind: "failed", message })
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
  // The name by which processes are looked for, and ended.
  if (isBackground) process.title = "pasta"
  const machinery = new Machinery()
  const { sinks, kept, tellsInfo } = openSinks(machinery, configuration)
  const log = new ProgramLog(configuration.verbosity, tellsInfo, isBackground ? [toLauncher] : sinks)
  const dataPath = new DataPath(machinery, { ...settings, configuration, isBackground }, log)
  closeHandedOver(configuration)
  // Behind the wall, folders can't be changed.
  if (isBackground) process.chdir("/")
  const wall = { empty: DataPathDescriptor.empty, helper: DataPathDescriptor.emptying }
  raiseWall(machinery, wall, pastaCalls(process.pid, dataPath.watchesPath), log, [])
  report({ kind: "ready", init: dataPath.init })
  if (isBackground) {
    leaveLauncher()
    log.sinks = sinks
  }
  tellFailure = (message) => {
    log.sinks = kept
    log.error(message)
    // The launcher writes it to standard error.
    if (!isBackground) report({ kind: "failed", message })
  }
  const status = await dataPath.run()
  if (!isBackground && status !== undefined) report({ kind: "ended", status })
  process.exit(0)
}

/** Gives up what is still the caller's. */
function leaveLauncher(): void {
  closeSync(DataPathDescriptor.settings)
  closeSync(DataPathDescriptor.report)
}

function fail(error: unknown): never {
  tellFailure(sentenceOf(error))
  process.exit(STATUS_FAILED)
}

function report(message: DataPathReport): void {
  try {
    writeSync(DataPathDescriptor.report, `${JSON.stringify(message)}\n`)
  } catch {
    // The launcher is gone, and nobody else wants to know.
    process.exit(STATUS_FAILED)
  }
}
