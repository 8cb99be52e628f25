/**
 * The process that moves the packets. Started by the launcher with the descriptors of {@link DataPathDescriptor}; everything
 * it says to the launcher is in report.ts.
 *
 * It opens all that it needs, changes from root to another user if it has to, says that it is ready, and is from then on
 * one event loop over the tap device, the host's sockets and the command's init, whose end is its own.
 */
import { readFileSync, writeSync } from "node:fs"
import { nameProgram, sentenceOf } from "@demiflow/program/command"
import type { DataPathSettings } from "@demiflow/program/data-path"
import { DataPath } from "./assembly.ts"
import { DataPathDescriptor } from "./launch-steps.ts"
import type { DataPathReport } from "./report.ts"

const STATUS_FAILED = 1

nameProgram("pasta")
process.on("uncaughtException", fail)
main().catch(fail)

async function main(): Promise<void> {
  const text = readFileSync(DataPathDescriptor.settings, "utf8")
  // The launcher has given up, and told the user why.
  if (text === "") process.exit(STATUS_FAILED)
  const settings = JSON.parse(text) as DataPathSettings
  const dataPath = new DataPath(settings)
  report({ kind: "ready", init: dataPath.init })
  const status = await dataPath.run()
  if (status !== undefined) report({ kind: "ended", status })
  process.exit(0)
}

function fail(error: unknown): never {
  report({ kind: "failed", message: sentenceOf(error) })
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
