/**
 * The process that moves the packets. The launcher starts it with the descriptors of {@link DataPathDescriptor};
 * report.ts defines all that it reports to the launcher. Once it is ready, it holds nothing of the caller's and reports
 * nothing more.
 */
import { closeSync, readFileSync, writeSync } from "node:fs"
import { decodeConfiguration } from "@demiflow/config"
import { keepDebuggerShut, nameProgram, sentenceOf } from "@demiflow/program/command"
import {
  closeHandedOver,
  type DataPathSettings,
  endOnSignals,
  type LogSink,
  Machinery,
  ProgramLog,
  raiseWall,
  WallHelper,
} from "@demiflow/program/data-path"
import { DataPath } from "./assembly.ts"
import { DataPathDescriptor } from "./launch-steps.ts"
import type { DataPathReport } from "./report.ts"

const STATUS_FAILED = 1

/** Used until the launcher has gone. */
const toLauncher: LogSink = {
  write: (_severity, message) => report({ kind: "message", message }),
}

nameProgram("passt")
// The name by which the process is found, and ended.
process.title = "passt"
/** False once its descriptor is closed: the number may then belong to something else. */
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
  const log = new ProgramLog(configuration.verbosity, true, [toLauncher])
  const machinery = new Machinery()
  const { hasNamespaces = false } = settings
  const helper = settings.helper === undefined ? undefined : new WallHelper({ descriptor: settings.helper })
  const dataPath = new DataPath(machinery, { ...settings, configuration, helper }, log)
  endOnSignals(dataPath)
  try {
    dataPath.open()
    closeHandedOver(configuration)
    closeSync(DataPathDescriptor.settings)
    raiseWall(machinery, { helper, hasNamespaces }, dataPath.calls, log, dataPath.folders)
    if (!report({ kind: "ready", socketPath: dataPath.socketPath })) return
    leaveLauncher()
    log.sinks = dataPath.logSinks
    await dataPath.run()
  } finally {
    dataPath.close()
  }
  process.exit(0)
}

function leaveLauncher(): void {
  closeSync(DataPathDescriptor.report)
  hasLauncher = false
}

/** Returns false if nobody reads the report. */
function report(message: DataPathReport): boolean {
  if (!hasLauncher) return false
  try {
    writeSync(DataPathDescriptor.report, `${JSON.stringify(message)}\n`)
    return true
  } catch {
    return false
  }
}
