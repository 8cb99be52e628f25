/** Everything in one process, which the user ends. */
import type { Options } from "@demiflow/config"
import { endIfDebuggerIsOpen } from "@demiflow/program/command"
import { endOnSignals, Machinery, type Outcome, ProgramLog, standardError } from "@demiflow/program/data-path"
import {
  closeInherited,
  decideConfiguration,
  readIdentityFacts,
  requestedIdentity,
  writePidFile,
} from "@demiflow/program/launch"
import { announceReady } from "./announce.ts"
import { DataPath } from "./assembly.ts"

/** Moves packets until a signal ends it. Throws an error with a `code`. */
export async function runInForeground(options: Options): Promise<Outcome> {
  closeInherited(process.argv, options.descriptor)
  endIfDebuggerIsOpen()
  // The name by which processes are looked for, and ended.
  process.title = "passt"
  const identity = requestedIdentity(options.runAs, readIdentityFacts())
  const machinery = new Machinery()
  const { native, arena } = machinery
  const { configuration, linkLocalScope } = decideConfiguration(native, arena, options, "passt")
  const log = new ProgramLog(options.verbosity, true, [])
  log.sinks = [standardError(options.verbosity)]
  const dataPath = new DataPath(machinery, { configuration, identity, linkLocalScope }, log)
  const outcome = endOnSignals(dataPath)
  try {
    dataPath.open(() => writePidFile(options.pidPath, process.pid))
    announceReady(configuration, dataPath.socketPath, options.runAs === undefined && identity !== undefined)
    log.sinks = [...dataPath.logSinks, ...log.sinks]
    await dataPath.run()
  } finally {
    dataPath.close()
  }
  return outcome()
}
