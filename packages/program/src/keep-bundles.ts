/** Keeps compiled code of a program's bundles, where it is installed or built: see kept-code.ts. */
import { spawnSync } from "node:child_process"
import { setFlagsFromString } from "node:v8"
import { keepCode } from "./kept-code.ts"

/** A bundle, and the options of the runtime that is to run it. */
export interface KeptBundle {
  readonly path: string
  readonly options: readonly string[]
}

/**
 * Keeps the compiled code of each bundle. For each, a runtime with the bundle's options runs this script. Failures are
 * ignored: everything works without kept code, only more slowly at the start.
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
