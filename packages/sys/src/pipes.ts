/**
 * Pipes between TCP sockets, by splice(2): what goes through them is never copied to this process.
 *
 * A pipe keeps pages, not bytes: its size is how many of them it has places for, and a segment takes at least one. What a fill
 * brings may thus be less than the size even if more has arrived.
 *
 * Sending to a connection that is closed raises SIGPIPE, which splice(2) has no flag against. Node.js ignores that signal from
 * its start on, and so do the programs that embed it here; the error is `-EPIPE` then (`pipes.test.ts` holds it).
 */
import { type Arena, Errno, type Pipe, type Pipes, type Socket } from "@demiflow/core"
import { FileCommand } from "./constants.ts"
import { DescriptorShare, type DescriptorShares } from "./descriptor-shares.ts"
import type { Native } from "./native.ts"

/** Bytes; what an ordinary user can have at most, unless `fs.pipe-max-size` says otherwise. */
const LARGEST = 1 << 20
/** Bytes; what the kernel gives a new pipe, unless the user has too many: then there is no larger one either. */
const USUAL = 64 << 10

/** Opens, fills and drains them. */
export class LinuxPipes implements Pipes {
  readonly #native: Native
  readonly #arena: Arena
  readonly #shares: DescriptorShares | undefined
  readonly #pair: number
  /** Writing ends, by the descriptor of the reading end, which names a pipe; -1 for what is no pipe. */
  #writingEnds = new Int32Array(256).fill(-1)
  /** Bytes to ask for next. */
  #size = LARGEST

  /**
   * @param shares those of the process; as many pipes as there is room for if absent. Connections from outside that stall keep
   *   their pipes, so pipes have the outside's share: without one, bytes can be copied
   */
  constructor(native: Native, arena: Arena, shares?: DescriptorShares) {
    this.#native = native
    this.#arena = arena
    this.#shares = shares
    this.#pair = arena.reserve(8, 8)
  }

  open(): Pipe {
    if (this.#shares?.allowsNext(DescriptorShare.fromOutside) === false) return -Errno.EMFILE as Pipe
    const result = this.#native.createPipe(this.#pair)
    if (result < 0) return result as Pipe
    const readingEnd = this.#arena.view.getInt32(this.#pair, true)
    const writingEnd = this.#arena.view.getInt32(this.#pair + 4, true)
    this.#shares?.made(writingEnd)
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
