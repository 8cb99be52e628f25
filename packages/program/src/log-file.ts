/**
 * A log file of bounded size: when it is full, the oldest lines are removed.
 *
 * Removal rewrites the lines that stay, so it is rare, and the part that stays is bounded: at most half of the size,
 * and no more than {@link MOST_KEPT} bytes.
 *
 * A pipe or a terminal has no size, and the log never waits for its reader: lines that don't fit in a full pipe are
 * dropped.
 */
import { closeSync, constants, fstatSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs"
import type { LogSink, Severity } from "./log.ts"
import { Quit } from "./messages.ts"
import { openOutputFile } from "./output-file.ts"
import { pathOf } from "./own-descriptor.ts"

const MOST_KEPT = 1 << 20
const LINE_END = "\n".charCodeAt(0)
const { O_WRONLY, O_NONBLOCK } = constants

/** A log file. */
export class LogFile implements LogSink {
  readonly #descriptor: number
  readonly #isFile: boolean
  readonly #maximumSize: number
  #size: number
  #isOver = false

  /**
   * Opens and empties the file, and writes its first line. Throws {@link Quit}.
   *
   * @param maximumSize bytes
   * @param title the first line
   */
  constructor(path: string, maximumSize: number, title: string) {
    const descriptor = openLog(path)
    const status = fstatSync(descriptor)
    this.#isFile = status.isFile()
    this.#descriptor = this.#isFile ? descriptor : withoutWaiting(descriptor)
    this.#maximumSize = maximumSize
    this.#size = status.size
    this.#append(title)
  }

  write(severity: Severity, message: string, seconds: number): void {
    this.#append(`${seconds.toFixed(4)}: ${`${severity}:`.padEnd(8)} ${message}`)
  }

  close(): void {
    this.#isOver = true
    closeSync(this.#descriptor)
  }

  #append(line: string): void {
    if (this.#isOver) return
    const bytes = Buffer.from(`${line}\n`)
    if (bytes.length > this.#maximumSize) return
    if (this.#isFile) this.#save(bytes)
    else this.#send(bytes)
  }

  #save(bytes: Uint8Array): void {
    try {
      if (this.#size + bytes.length > this.#maximumSize) this.#makeRoom(bytes.length)
      this.#put(bytes)
    } catch {
      // The disk is full, and the log is where that would be reported.
      this.#isOver = true
    }
  }

  #put(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      at += writeSync(this.#descriptor, bytes, at, bytes.length - at, this.#size + at)
    }
    this.#size += bytes.length
  }

  #send(bytes: Uint8Array): void {
    try {
      writeSync(this.#descriptor, bytes)
    } catch (error) {
      this.#isOver = (error as NodeJS.ErrnoException).code !== "EAGAIN"
    }
  }

  /** Keeps the newest whole lines. */
  #makeRoom(wanted: number): void {
    const room = Math.min(this.#maximumSize >> 1, this.#maximumSize - wanted, MOST_KEPT, this.#size)
    const tail = Buffer.alloc(room)
    const count = readSync(this.#descriptor, tail, 0, room, this.#size - room)
    // Removes the line that was cut, too.
    const kept = tail.subarray(tail.indexOf(LINE_END) + 1 || count, count)
    ftruncateSync(this.#descriptor, 0)
    this.#size = 0
    this.#put(kept)
  }
}

/**
 * Opens the same pipe or terminal again, non-blocking and for writing alone. Setting O_NONBLOCK would set it for every
 * process that holds the pipe.
 */
function withoutWaiting(descriptor: number): number {
  try {
    const other = openSync(pathOf(descriptor), O_WRONLY | O_NONBLOCK)
    closeSync(descriptor)
    return other
  } catch {
    return descriptor
  }
}

function openLog(path: string): number {
  try {
    return openOutputFile(path)
  } catch (error) {
    throw new Quit(`Can't write the log file ${path}: ${(error as Error).message}`)
  }
}
