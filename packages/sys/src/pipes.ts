/**
 * Pipes between TCP sockets, by splice(2): what goes through them is never copied to this process.
 *
 * A pipe keeps pages, not bytes: its size is how many of them it has places for, and a segment takes at least one. What a fill
 * brings may thus be less than the size even if more has arrived.
 *
 * Sending to a connection that is closed raises SIGPIPE, which splice(2) has no flag against. Node.js ignores that signal from
 * its start on, and so do the programs that embed it here; the error is `-EPIPE` then (`pipes.test.ts` holds it).
 */
import type { Arena, Pipe, Pipes, Socket } from "@demiflow/core"
import { AddressFamily, FileCommand, SocketLevel, SocketOption, SocketType } from "./constants.ts"
import type { Native } from "./native.ts"

/** Bytes; what an ordinary user can have at most, unless `fs.pipe-max-size` says otherwise. */
const LARGEST = 1 << 20
/** Bytes; what the kernel gives a new pipe, unless the user has too many: then there is no larger one either. */
const USUAL = 64 << 10

/** Bytes of a socket's buffer that are enough to keep both ends busy. */
const LEAST_BUFFER = 256 << 10

/** Opens, fills and drains them. */
export class LinuxPipes implements Pipes {
  readonly #native: Native
  readonly #arena: Arena
  readonly #pair: number
  /** Writing ends, by the descriptor of the reading end, which names a pipe; -1 for what is no pipe. */
  #writingEnds = new Int32Array(256).fill(-1)
  /** Bytes to ask for next. */
  #size = LARGEST
  readonly #canLimit: boolean

  constructor(native: Native, arena: Arena) {
    this.#native = native
    this.#arena = arena
    this.#pair = arena.reserve(8, 8)
    this.#canLimit = grantsBuffers(native, LEAST_BUFFER)
  }

  open(): Pipe {
    const result = this.#native.createPipe(this.#pair)
    if (result < 0) return result as Pipe
    const readingEnd = this.#arena.view.getInt32(this.#pair, true)
    const writingEnd = this.#arena.view.getInt32(this.#pair + 4, true)
    this.#enlarge(writingEnd)
    this.#makeRoom(readingEnd)
    this.#writingEnds[readingEnd] = writingEnd
    return readingEnd as Pipe
  }

  close(pipe: Pipe): void {
    const writingEnd = this.#writingEnds[pipe] ?? -1
    if (writingEnd < 0) return
    this.#writingEnds[pipe] = -1
    this.#native.close(pipe)
    this.#native.close(writingEnd)
  }

  fill(pipe: Pipe, socket: Socket): number {
    return this.#native.splice(socket, this.#writingEnds[pipe], LARGEST)
  }

  drain(pipe: Pipe, socket: Socket, length: number): number {
    return this.#native.splice(pipe, socket, length)
  }

  limitBuffers(socket: Socket, bytes: number): number {
    return this.#canLimit ? setBuffers(this.#native, socket, Math.max(bytes, LEAST_BUFFER)) : 0
  }

  /**
   * Has a new pipe take more. All pipes of an ordinary user share a limit (pipe(7), `pipe-user-pages-soft`), of which other
   * programs have their part as well. So the first pipes are large and later ones may be smaller; each begins with twice of what
   * the last one got, to ask no more than once in vain, and to find out that there is room again.
   */
  #enlarge(descriptor: number): void {
    let size = this.#size
    while (size > USUAL && this.#native.fileControl(descriptor, FileCommand.setPipeSize, size) < 0) size >>= 1
    this.#size = Math.min(2 * size, LARGEST)
  }

  #makeRoom(readingEnd: number): void {
    if (readingEnd < this.#writingEnds.length) return
    const larger = new Int32Array(Math.max(readingEnd + 1, this.#writingEnds.length * 2)).fill(-1)
    larger.set(this.#writingEnds)
    this.#writingEnds = larger
  }
}

/** The kernel doubles what is asked for, for its own overhead, and grants no more than `net.core.{r,w}mem_max` (socket(7)). */
function setBuffers(native: Native, socket: number, bytes: number): number {
  const result = native.setOptionInteger(socket, SocketLevel.socket, SocketOption.receiveBuffer, bytes >> 1)
  if (result < 0) return result
  return native.setOptionInteger(socket, SocketLevel.socket, SocketOption.sendBuffer, bytes >> 1)
}

/** Does this machine grant so much? A socket with little more than nothing would stand still most of the time. */
function grantsBuffers(native: Native, bytes: number): boolean {
  const socket = native.socket(AddressFamily.ipv4, SocketType.stream, 0)
  if (socket < 0) return false
  setBuffers(native, socket, bytes)
  const granted = [SocketOption.receiveBuffer, SocketOption.sendBuffer].map((option) =>
    native.getOptionInteger(socket, SocketLevel.socket, option),
  )
  native.close(socket)
  return granted.every((size) => size >= bytes)
}
