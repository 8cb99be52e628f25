/** Shared by this package's tests: one arena for each file, socket pairs, and the other end of a stream. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Arena, Errno, type FrameBatch } from "@demiflow/core"
import { AddressFamily, attachArena, checkResult, type Native, SocketType, unixSocketAddress } from "@demiflow/sys"
import { LONGEST_STREAM_FRAME } from "./framing.ts"

/** The arena of this test file: a thread has only one. */
export const arena: Arena = new Arena(96 << 20)
export const native: Native = attachArena(arena)

const SCRATCH_BYTES = 256 << 10
const scratch = arena.reserve(SCRATCH_BYTES)

/** Two connected UNIX sockets. */
export function socketPair(type: number = SocketType.stream): [number, number] {
  checkResult(native.socketPair(AddressFamily.unix, type, 0, scratch), "make a socket pair")
  return [arena.words[scratch >> 2], arena.words[(scratch >> 2) + 1]]
}

/** A socket connected to the path; a negated errno on failure. */
export function connectTo(path: string): number {
  const descriptor = checkResult(native.socket(AddressFamily.unix, SocketType.stream, 0), "make a socket")
  const address = unixSocketAddress(path)
  arena.bytes.set(address, scratch)
  const result = native.connect(descriptor, scratch, address.length)
  if (result < 0) native.close(descriptor)
  return result < 0 ? result : descriptor
}

/** A frame with its length before it. */
export function framed(frame: Uint8Array, length: number = frame.length): Uint8Array {
  const bytes = new Uint8Array(4 + frame.length)
  new DataView(bytes.buffer).setUint32(0, length)
  bytes.set(frame, 4)
  return bytes
}

/** A frame of this length. Frames with different numbers differ: 256 of them below 18 bytes, all from there on. */
export function numberedFrame(number: number, length: number): Uint8Array {
  const frame = new Uint8Array(length)
  for (let index = 0; index < length; index++) frame[index] = (index * 7 + number * 31) & 255
  if (length >= 18) new DataView(frame.buffer).setUint32(14, number)
  return frame
}

export function concatenate(pieces: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(pieces))
}

/** Copies of the frames of a batch. */
export function framesOf(batch: FrameBatch): Uint8Array[] {
  return Array.from({ length: batch.count }, (_, index) => {
    const offset = batch.offset[index]
    return arena.bytes.slice(offset, offset + batch.length[index])
  })
}

/** The hypervisor's end of a stream: writes bytes, reads frames. Doesn't use the code under test. */
export class OtherEnd {
  readonly descriptor: number
  #waiting: Uint8Array = new Uint8Array(0)
  #unread: Uint8Array = new Uint8Array(0)

  constructor(descriptor: number) {
    this.descriptor = descriptor
  }

  /** Writes bytes; those that don't fit wait for {@link OtherEnd.push}. */
  write(bytes: Uint8Array): void {
    this.#waiting = concatenate([this.#waiting, bytes])
    this.push()
  }

  /** Writes waiting bytes until the socket is full. */
  push(): void {
    while (this.#waiting.length > 0) {
      const piece = this.#waiting.subarray(0, SCRATCH_BYTES)
      arena.bytes.set(piece, scratch)
      const written = native.write(this.descriptor, scratch, piece.length)
      if (written <= 0) return
      this.#waiting = this.#waiting.subarray(written)
    }
  }

  get isAllWritten(): boolean {
    return this.#waiting.length === 0
  }

  /** Returns the whole frames that have arrived. Reads at most this many bytes. */
  read(most: number = Number.POSITIVE_INFINITY): Uint8Array[] {
    const pieces = [this.#unread]
    for (let left = most; left > 0; ) {
      const count = native.read(this.descriptor, scratch, Math.min(left, SCRATCH_BYTES))
      if (count === -Errno.EAGAIN || count === 0) break
      checkResult(count, "read")
      pieces.push(arena.bytes.slice(scratch, scratch + count))
      left -= count
    }
    const bytes = Buffer.concat(pieces)
    const frames: Uint8Array[] = []
    let next = 0
    while (next + 4 <= bytes.length && next + 4 + bytes.readUInt32BE(next) <= bytes.length) {
      const length = bytes.readUInt32BE(next)
      if (length === 0 || length > LONGEST_STREAM_FRAME) throw new Error(`A frame of ${length} bytes arrived`)
      frames.push(new Uint8Array(bytes.subarray(next + 4, next + 4 + length)))
      next += 4 + length
    }
    this.#unread = new Uint8Array(bytes.subarray(next))
    return frames
  }

  /** Bytes of a partly received frame. */
  get partial(): number {
    return this.#unread.length
  }

  close(): void {
    native.close(this.descriptor)
  }
}

/** True if the descriptor isn't open. */
export function isClosed(descriptor: number): boolean {
  return native.fileControl(descriptor, 1, 0) === -9
}

/** Limits a socket's buffer, so that it fills up soon. */
export function limitSendBuffer(descriptor: number, bytes: number): void {
  checkResult(native.setOptionInteger(descriptor, 1, 7, bytes), "set a send buffer's size")
}

/** Creates a folder, with a function that removes it. */
export function temporaryFolder(): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), "demiflow-stream-"))
  return { path, remove: () => rmSync(path, { recursive: true }) }
}
