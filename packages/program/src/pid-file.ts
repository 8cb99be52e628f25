import { writeFileSync } from "node:fs"
import { Quit } from "./messages.ts"

/** As the C implementation has it. */
const PID_FILE_MODE = 0o600

/** Writes a process number and a line end, if a path is given. Throws {@link Quit}. */
export function writePidFile(path: string | undefined, process: number): void {
  if (path === undefined) return
  try {
    writeFileSync(path, `${process}\n`, { mode: PID_FILE_MODE })
  } catch (error) {
    throw new Quit(`Can't write the PID file ${path}: ${(error as Error).message}`)
  }
}
