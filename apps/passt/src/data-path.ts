/**
 * The process that moves the packets. Started by the launcher with the descriptors of {@link DataPathDescriptor}; everything it says to
 * the launcher is in report.ts. In the background it has nothing of the caller's once it is ready, and says nothing more.
 */
import { closeSync, readFileSync, writeSync } from "node:fs"
import { decodeConfiguration } from "@demiflow/config"
import { keepDebuggerShut, nameProgram, sentenceOf } from "@demiflow/program/command"
import {
  closeHandedOver,
  type DataPathSettings,
  endOnSignals,
  endWithLauncher,
  type LogSink,
  Machinery,
  ProgramLog,
  passtCalls,
  raiseWall,
  standardError,
} from "@demiflow/program/data-path"
import { DataPath } from "./assembly.ts"
import { DataPathDescriptor } from "./launch-steps.ts"
import type { DataPathReport } from "./report.ts"

const STATUS_FAILED = 1

/** Until the launcher has gone. */
const toLauncher: LogSink = {
  write: (_severity, message) => report({ kind: "message", message }),
}

nameProgram("passt")
// The name by which processes are looked for, and ended.
process.title = "passt"
/** False once its descriptor is closed: the number may then be that of something else. */
let hasLauncher = true
main().catch((error) => {
  report({ kind: "failed", message: sentenceOf(error) })
  process.exit(STATUS_FAILED)
})

async function main(): Promise<void> {
  keepDebuggerShut()
  const text = readFileSync(DataPathDescriptor.settings, "utf8")
  // The launcher has given up, and reported why.
  if (text === "") process.exit(STATUS_FAILED)
  const settings = JSON.parse(text) as DataPathSettings
  const configuration = decodeConfiguration(settings.configuration)
  const { verbosity, foreground } = configuration
  const log = new ProgramLog(verbosity, true, [toLauncher])
  const machinery = new Machinery()
  const dataPath = new DataPath(machinery, { ...settings, configuration }, log)
  endOnSignals(dataPath)
  try {
    dataPath.open()
    closeHandedOver(configuration)
    closeSync(DataPathDescriptor.settings)
    raiseWall(machinery, DataPathDescriptor, passtCalls(process.pid, dataPath.folders), log, dataPath.folders)
    if (!report({ kind: "ready", socketPath: dataPath.socketPath })) return
    if (foreground) endWithLauncher(machinery, DataPathDescriptor.report)
    else leaveLauncher()
    log.sinks = foreground ? [...dataPath.logSinks, standardError(verbosity)] : dataPath.logSinks
    await runToEnd(dataPath, log)
  } finally {
    dataPath.close()
  }
  report({ kind: "ended" })
  process.exit(0)
}

function leaveLauncher(): void {
  closeSync(DataPathDescriptor.report)
  hasLauncher = false
}

async function runToEnd(dataPath: DataPath, log: ProgramLog): Promise<void> {
  try {
    await dataPath.run()
  } catch (error) {
    // The launcher writes it to standard error.
    log.sinks = dataPath.logSinks
    log.error(sentenceOf(error))
    throw error
  }
}

/** False if there is nobody who reads it. */
function report(message: DataPathReport): boolean {
  if (!hasLauncher) return false
  try {
    writeSync(DataPathDescriptor.report, `${JSON.stringify(message)}\n`)
    return true
  } catch {
    return false
  }
}
