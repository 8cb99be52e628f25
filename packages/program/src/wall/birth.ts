/**
 * Starts a program behind the first half of its wall. A runtime has threads, so it can't create a user namespace any
 * more. Therefore `bin/passt` is executed by a small native program, `become`, which creates the namespaces, leaves a
 * helper behind, and executes the runtime: one process. `become` carries out a list of steps beside it, written by
 * `birthSteps` where the program was installed.
 *
 * If the runtime was started in another way (`node bin/passt`, a `node` that only finds the real one), this process
 * executes its command once more by way of `become`. Where that isn't possible, the program works without.
 */
import { accessSync, constants } from "node:fs"
import { fileURLToPath } from "node:url"
import { createUnnamedFile, encodeStepsFile, fileBeside, loadNative, pathOfDescriptor } from "@demiflow/sys"
import { closeInherited, executeAgain, hasRing, namedDescriptors } from "../inherited-descriptors.ts"
import { isOneFile } from "../one-file.ts"
import { BIRTH_VARIABLE, birthSteps, ONLY_NAMESPACES } from "./birth-steps.ts"
import type { Birth } from "./helper.ts"
import { guardRuntime } from "./steps.ts"

/** Value of the variable: there is no helper, and the command must not be executed again. */
const GUARDED = "guarded"

/** Suffix of the list of steps, beside the program that carries them out. */
export const STEPS_SUFFIX = ".steps"

/**
 * Ensures that the wall's first half is up, to the extent possible, and returns which parts are. To be called before
 * anything is opened. Throws a `SystemError`.
 *
 * @param become the native program, in a folder with its list
 * @param named a descriptor that an option names by its number
 * @param isAlone true to close everything else that the caller has left open
 */
export function beBorn(become: URL, named: number | undefined, isAlone: boolean): Birth {
  const kept = [...(named === undefined ? [] : [named]), ...namedDescriptors(process.argv)]
  if (process.env[BIRTH_VARIABLE] === undefined) tryAgain(fileURLToPath(become), kept)
  const [, descriptor, number] = /^(\d+) (\d+)$/.exec(process.env[BIRTH_VARIABLE] ?? "") ?? []
  const hasNamespaces = descriptor !== undefined || process.env[BIRTH_VARIABLE] === ONLY_NAMESPACES
  const helper = descriptor === undefined ? undefined : { descriptor: Number(descriptor), process: Number(number) }
  // Without `become`, nothing has kept the runtime from opening an io_uring, which the filter would block while it is
  // in use.
  if (helper === undefined && process.env[BIRTH_VARIABLE] !== GUARDED && hasRing()) {
    process.env[BIRTH_VARIABLE] = GUARDED
    executeAgain(kept, [], guardRuntime(loadNative()))
  }
  if (isAlone) closeInherited(helper === undefined ? kept : [...kept, helper.descriptor])
  // No child should see it.
  delete process.env[BIRTH_VARIABLE]
  return { helper, hasNamespaces }
}

/** Doesn't return if it succeeds. */
function tryAgain(become: string, kept: readonly number[]): void {
  // Prevents a second attempt, whatever happens.
  process.env[BIRTH_VARIABLE] = ""
  if (isOneFile()) {
    tryAgainFromOneFile(kept)
    return
  }
  if (isExecutable(become)) executeAgain(kept, [become, `${become}${STEPS_SUFFIX}`])
}

/** The list can be written here: this process has the options with which it is executed again. */
function tryAgainFromOneFile(kept: readonly number[]): void {
  const native = loadNative()
  const become = fileBeside("become")
  const list = createUnnamedFile((descriptor) =>
    encodeStepsFile([{ kind: "close", descriptor }, ...birthSteps(native, undefined)]),
  )
  if (become !== undefined && typeof list === "number") executeAgain([...kept, list], [become, pathOfDescriptor(list)])
}

/** False also on a file system that forbids execution. */
function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
