import { closeSync, constants, existsSync, unlinkSync, writeSync } from "node:fs"
import { Quit } from "./messages.ts"
import { openOutputFile } from "./output-file.ts"

/** Writes a process id and a line end, if a path is given. Throws {@link Quit}. */
export function writePidFile(path: string | undefined, process: number): void {
  PidFile.open(path)?.write(process)
}

/** A PID file that is opened while paths can still be opened, and written once everything is ready. */
export class PidFile {
  readonly #path: string
  readonly #descriptor: number
  readonly #wasThere: boolean
  #isDone = false

  private constructor(path: string) {
    this.#path = path
    this.#wasThere = existsSync(path)
    this.#descriptor = openOutputFile(path, constants.O_WRONLY)
  }

  /** Opens the file; undefined without a path. Throws {@link Quit}. */
  static open(path: string | undefined): PidFile | undefined {
    return path === undefined ? undefined : attempt(path, () => new PidFile(path))
  }

  /** Writes a process id and a line end, and closes the file. Throws {@link Quit}. */
  write(process: number): void {
    attempt(this.#path, () => writeSync(this.#descriptor, `${process}\n`))
    this.#close()
  }

  /** Closes the file if nothing was written, and removes it unless it existed before. */
  discard(): void {
    if (this.#isDone) return
    this.#close()
    try {
      if (!this.#wasThere) unlinkSync(this.#path)
    } catch {
      // The file contains no process id.
    }
  }

  #close(): void {
    this.#isDone = true
    closeSync(this.#descriptor)
  }
}

function attempt<Result>(path: string, work: () => Result): Result {
  try {
    return work()
  } catch (error) {
    throw new Quit(`Can't write the PID file ${path}: ${(error as Error).message}`)
  }
}
