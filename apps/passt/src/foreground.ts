/** Runs everything in one process, which the user ends. */
import { constants, fstatSync } from "node:fs"
import type { Options } from "@demiflow/config"
import { endIfDebuggerIsOpen } from "@demiflow/program/command"
import {
  type Birth,
  closeHandedOver,
  endOnSignals,
  Machinery,
  type Outcome,
  ProgramLog,
  raiseWall,
  standardError,
  WallHelper,
} from "@demiflow/program/data-path"
import {
  decideConfiguration,
  keepStandardError,
  PidFile,
  readIdentityFacts,
  requestedIdentity,
} from "@demiflow/program/launch"
import { checkStreamDescriptor } from "@demiflow/stream-link"
import { runStepsHere, type Step } from "@demiflow/sys"
import { announceReady } from "./announce.ts"
import { DataPath } from "./assembly.ts"

const STANDARD_ERROR = 2

/**
 * Reopens the user's terminal for writing only, if it is open for reading and writing. Another user's terminal stays as
 * it is.
 */
const onlyWriteErrors: Step = {
  kind: "open",
  path: `/proc/self/fd/${STANDARD_ERROR}`,
  flags: constants.O_WRONLY | constants.O_NOCTTY,
  number: STANDARD_ERROR,
  mayFail: true,
}

/**
 * Moves packets until a signal ends the program. Throws an error with a `code`.
 *
 * @param birth what was given up before
 */
export async function runInForeground(options: Options, birth: Birth): Promise<Outcome> {
  endIfDebuggerIsOpen()
  // The name by which the process is found, and ended.
  process.title = "passt"
  const { runAs, verbosity, descriptor, pidPath } = options
  const identity = requestedIdentity(runAs, readIdentityFacts())
  const machinery = new Machinery()
  const { native, arena } = machinery
  if (descriptor !== undefined) checkStreamDescriptor(native, descriptor)
  const { configuration, linkLocalScope } = decideConfiguration(native, arena, options, "passt")
  const log = new ProgramLog(verbosity, true, [standardError(verbosity)])
  const helper = birth.helper && new WallHelper(birth.helper)
  const dataPath = new DataPath(machinery, { configuration, identity, linkLocalScope, helper }, log)
  const outcome = endOnSignals(dataPath)
  const opened: { pidFile?: PidFile | undefined } = {}
  try {
    dataPath.open(() => {
      opened.pidFile = PidFile.open(pidPath)
      if (isDevice(STANDARD_ERROR)) runStepsHere(native, arena, [onlyWriteErrors])
    })
    closeHandedOver(configuration)
    runStepsHere(native, arena, keepStandardError)
    raiseWall(machinery, { ...birth, helper }, dataPath.calls, log, dataPath.folders)
    opened.pidFile?.write(process.pid)
    announceReady(configuration, dataPath.socketPath, runAs === undefined && identity !== undefined)
    log.sinks = [...dataPath.logSinks, ...log.sinks]
    await dataPath.run()
  } finally {
    opened.pidFile?.discard()
    dataPath.close()
  }
  return outcome()
}

/** Returns false for a descriptor that isn't open. */
function isDevice(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isCharacterDevice()
  } catch {
    return false
  }
}
