/** Keeping the code of a program's bundles, where it is installed or built: see kept-code.ts. */
import { spawnSync } from "node:child_process"
import { setFlagsFromString } from "node:v8"
import { keepCode } from "./kept-code.ts"

/** A bundle, and how the runtime is started that is to run it. */
export interface KeptBundle {
  readonly path: string
  readonly options: readonly string[]
}

/**
 * Keeps the code of each bundle, by a runtime of its own with its options, which runs this script. What can't be kept is
 * left: everything works without, only later.
 *
 * @param script the file whose only work is to call this function
 * @param words the script's arguments: the bundle to compile in this very process, if any
 */
export function keepBundles(script: string, words: readonly string[], bundles: readonly KeptBundle[]): void {
  const [bundle] = words
  if (bundle !== undefined) {
    keepCode(bundle, setFlagsFromString)
    return
  }
  const { NODE_OPTIONS: _theirs, ...environment } = process.env
  for (const { path, options } of bundles) {
    spawnSync(process.execPath, [...options, script, path], { env: environment, stdio: "ignore" })
  }
}
