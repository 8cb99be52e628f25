import { closeSync, constants, writeSync } from "node:fs"
import { Quit } from "./messages.ts"
import { openOutputFile } from "./output-file.ts"

/** Writes a process number and a line end, if a path is given. Throws {@link Quit}. */
export function writePidFile(path: string | undefined, process: number): void {
  if (path === undefined) return
  try {
    const file = openOutputFile(path, constants.O_WRONLY)
    try {
      writeSync(file, `${process}\n`)
    } finally {
      closeSync(file)
    }
  } catch (error) {
    throw new Quit(`Can't write the PID file ${path}: ${(error as Error).message}`)
  }
}
