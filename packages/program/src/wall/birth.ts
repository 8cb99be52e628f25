/**
 * How a program comes into the world behind the first half of its wall. A runtime has threads, with which it can't make a user
 * namespace any more. So `bin/passt` is executed by a small native program, `become`, which makes the namespaces, leaves a helper
 * behind, and becomes the runtime: one process. What `become` does is a list of steps beside it, which `birthSteps` has written where the
 * program was installed.
 *
 * If the runtime was started in another way (`node bin/passt`, a `node` that only finds the real one), this process executes its command
 * once more by that way. Where that isn't possible, the program works without.
 */
import { accessSync, constants } from "node:fs"
import { fileURLToPath } from "node:url"
import { loadNative } from "@demiflow/sys"
import { closeInherited, executeAgain, hasRing, namedDescriptors } from "../inherited-descriptors.ts"
import { BIRTH_VARIABLE } from "./birth-steps.ts"
import type { HelperPlace } from "./helper.ts"
import { guardRuntime } from "./steps.ts"

/** No helper, and not once more. */
const GUARDED = "guarded"

/** Of the list of steps, beside the program that carries them out. */
export const STEPS_SUFFIX = ".steps"

/**
 * Makes sure of the wall's first half, and answers the helper for the second; undefined if there is none. To be called before
 * anything is opened. Throws a `SystemError`.
 *
 * @param become the native program, in a folder with its list
 * @param named a descriptor that an option names by its number
 * @param isAlone true to close everything else that the caller has left open
 */
export function beBorn(become: URL, named: number | undefined, isAlone: boolean): HelperPlace | undefined {
  const kept = [...(named === undefined ? [] : [named]), ...namedDescriptors(process.argv)]
  if (process.env[BIRTH_VARIABLE] === undefined) tryAgain(fileURLToPath(become), kept)
  const [, descriptor, number] = /^(\d+) (\d+)$/.exec(process.env[BIRTH_VARIABLE] ?? "") ?? []
  const helper = descriptor === undefined ? undefined : { descriptor: Number(descriptor), process: Number(number) }
  // Without that program, nothing has kept the runtime from a ring, which the filter would take away while it is in use.
  if (helper === undefined && process.env[BIRTH_VARIABLE] !== GUARDED && hasRing()) {
    process.env[BIRTH_VARIABLE] = GUARDED
    executeAgain(kept, [], guardRuntime(loadNative()))
  }
  if (isAlone) closeInherited(helper === undefined ? kept : [...kept, helper.descriptor])
  // It is nobody else's business.
  delete process.env[BIRTH_VARIABLE]
  return helper
}

/** Doesn't return if it succeeds. */
function tryAgain(become: string, kept: readonly number[]): void {
  // Not a second time, whatever becomes of it.
  process.env[BIRTH_VARIABLE] = ""
  if (isExecutable(become)) executeAgain(kept, [become, `${become}${STEPS_SUFFIX}`])
}

/** False as well where nothing on a file system can be executed. */
function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
