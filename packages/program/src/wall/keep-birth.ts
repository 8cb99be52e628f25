/** Writes the files with which a program starts behind its wall, where it is installed or built: see birth.ts. */
import { copyFileSync, renameSync, statSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { encodeStepsFile, fileBeside, loadNative } from "@demiflow/sys"
import { STEPS_SUFFIX } from "./birth.ts"
import { birthSteps } from "./birth-steps.ts"

/**
 * Copies the native program `become` and writes its list of steps beside it, for this machine. The two belong together,
 * hence the copy. If that fails, neither is kept: everything works without, only with less of a wall.
 */
export function keepBirth(become: URL): void {
  try {
    const path = fileURLToPath(become)
    const built = fileBeside("become")
    if (built === undefined) return
    const { size, mtimeMs } = statSync(process.execPath)
    const runtime = { size, changedAt: Math.floor(mtimeMs / 1000) }
    const steps = encodeStepsFile(birthSteps(loadNative(), runtime))
    replace(`${path}${STEPS_SUFFIX}`, (temporary) => writeFileSync(temporary, steps, { mode: 0o644 }))
    replace(path, (temporary) => copyFileSync(built, temporary))
  } catch {
    // No native part, no space, or no permission to write.
  }
}

/** A program that starts meanwhile sees the old file or the new one. */
function replace(path: string, write: (temporary: string) => void): void {
  const temporary = `${path}.${process.pid}`
  write(temporary)
  renameSync(temporary, path)
}
