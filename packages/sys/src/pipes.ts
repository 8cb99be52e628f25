/**
 * Pipes between TCP sockets, by splice(2): their bytes are never copied to this process.
 *
 * A pipe holds pages, not bytes: its size is the number of page slots, and each segment takes at least one. A fill may
 * thus bring less than the pipe's size even if more has arrived.
 *
 * Sending to a closed connection raises SIGPIPE, which splice(2) has no flag against. Node.js ignores that signal from
 * its start on, and so do the programs that embed it here; the error is then `-EPIPE` (verified by `pipes.test.ts`).
 */
import { type Arena, Errno, type Pipe, type Pipes, type Socket } from "@demiflow/core"
import { FileCommand } from "./constants.ts"
import { DescriptorShare, type DescriptorShares } from "./descriptor-shares.ts"
import type { Native } from "./native.ts"

/** Bytes; the most that an ordinary user gets, unless `fs.pipe-max-size` is different. */
const LARGEST = 1 << 20
/**
 * Bytes; the size of a new pipe. A user with too many pipes gets less, and then larger ones aren't available either.
 */
const USUAL = 64 << 10

/** Opens, fills and drains pipes. */
export class LinuxPipes implements Pipes {
  readonly #native: Native
  readonly #arena: Arena
  readonly #shares: DescriptorShares | undefined
  readonly #pair: number
  /** Writing ends, by the descriptor of the reading end, which identifies a pipe; -1: no pipe. */
  #writingEnds = new Int32Array(256).fill(-1)
  /** Bytes to request next. */
  #size = LARGEST

  /**
   * @param shares those of the process; no limit if absent. Stalled connections from outside keep their pipes, so pipes
   * have the outside's share; without a pipe, bytes can be copied
   */
  constructor(native: Native, arena: Arena, shares?: DescriptorShares) {
    this.#native = native
    this.#arena = arena
    this.#shares = shares
    this.#pair = arena.reserve(8, 8, "the pipes of Linux")
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
   * Requests a larger size for a new pipe. All pipes of an ordinary user share a limit (pipe(7),
   * `pipe-user-pages-soft`), other programs' pipes included. So the first pipes are large and later ones may be
   * smaller. Each requests twice what the last one got: that costs at most one failed request, and notices when there
   * is room again.
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
