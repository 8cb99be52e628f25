import { constants, writeSync } from "node:fs"
import type { Link, Log } from "@demiflow/core"
import { type CaptureSink, PacketCapture } from "@demiflow/tap"
import { Quit } from "./messages.ts"
import { openOutputFile } from "./output-file.ts"

const NOTHING = new Uint8Array(0)

/**
 * Has all packets of the link written to a file, which is overwritten. Throws {@link Quit} if the file can't be written. If it
 * can't be written any more, the capture ends with a warning, and the packets go on. Nothing waits for the reader of a pipe:
 * what doesn't fit is missing in the capture, of which a warning is logged once.
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
  /** The end of a record that a pipe has begun to take. */
  #rest: Uint8Array = NOTHING
  #isIncomplete = false
  #isOver = false

  constructor(path: string, log: Pick<Log, "warning">) {
    this.#path = path
    this.#descriptor = openCapture(path)
    this.#log = log
  }

  /** Whole records, that is all or nothing of them. */
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

  /** How many bytes were taken. */
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
