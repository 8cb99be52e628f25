import { constants, writeSync } from "node:fs"
import type { Link, Log } from "@demiflow/core"
import { type CaptureSink, PacketCapture } from "@demiflow/tap"
import { Quit } from "./messages.ts"
import { openOutputFile } from "./output-file.ts"

const NOTHING = new Uint8Array(0)

/**
 * Writes all packets of the link to a file, which is overwritten. Throws {@link Quit} if the file can't be written. If
 * writing fails later, the capture ends with a warning, and the packets go on. The link never waits for the reader of a
 * pipe: what doesn't fit is missing in the capture, which is logged once as a warning.
 */
export function captureTo(path: string, link: Link, log: Pick<Log, "warning">): Link {
  const clock = {
    get microseconds(): number {
      return Math.floor((performance.timeOrigin + performance.now()) * 1000)
    },
  }
  return new PacketCapture(link, new CaptureFile(path, log), clock)
}

class CaptureFile implements CaptureSink {
  readonly #path: string
  readonly #descriptor: number
  readonly #log: Pick<Log, "warning">
  /** The rest of a record that a pipe has taken in part. */
  #rest: Uint8Array = NOTHING
  #isIncomplete = false
  #isOver = false

  constructor(path: string, log: Pick<Log, "warning">) {
    this.#path = path
    this.#descriptor = openCapture(path)
    this.#log = log
  }

  /** Writes whole records: all of them, or none. */
  write(bytes: Uint8Array): void {
    if (this.#isOver) return
    try {
      this.#rest = this.#rest.subarray(this.#put(this.#rest))
      const taken = this.#rest.length > 0 ? 0 : this.#put(bytes)
      if (taken > 0 && taken < bytes.length) this.#rest = bytes.slice(taken)
      if (taken === 0) this.#noteMissing()
    } catch (error) {
      this.#isOver = true
      this.#log.warning(`The capture file ${this.#path} ends early: ${(error as Error).message}`)
    }
  }

  /** Returns the number of bytes taken. */
  #put(bytes: Uint8Array): number {
    let at = 0
    try {
      while (at < bytes.length) at += writeSync(this.#descriptor, bytes, at)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error
    }
    return at
  }

  #noteMissing(): void {
    if (this.#isIncomplete) return
    this.#isIncomplete = true
    this.#log.warning(`Packets are missing in the capture ${this.#path}: its reader is slower than the link`)
  }
}

function openCapture(path: string): number {
  try {
    return openOutputFile(path, constants.O_WRONLY)
  } catch (error) {
    throw new Quit(`Can't write the capture file ${path}: ${(error as Error).message}`)
  }
}
