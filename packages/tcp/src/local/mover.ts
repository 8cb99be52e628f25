import { type Arena, Errno, NO_PIPE, type Pipes, Vectors } from "@demiflow/core"
import { type Direction, Ending } from "./direction.ts"
import type { PipePool } from "./pipe-pool.ts"

/** Bytes that one direction may move before others have their turn. */
const BUDGET = 1 << 20
/** Bytes that are copied at once where no pipe is available. */
const COPIED_BYTES = 65_536

/** Result of an attempt to move bytes: one of these, or a negated error number of either socket. */
export const Moved = {
  /** Moved all there was, or all that the receiver takes; an event reports when there is more to do. */
  all: 0,
  /** Moved what the budget allows. */
  part: 1,
} as const

/**
 * Moves bytes from socket to socket. They stay in the kernel, unless no pipe is available or a pipe would not help:
 * then they are copied. Copied bytes stay at their socket until the other one has taken them, so nothing is held here.
 */
export class Mover {
  readonly #pipes: Pipes
  readonly #pool: PipePool
  readonly #copied: Vectors
  /** Bytes moved by the last call. */
  movedBytes = 0

  constructor(arena: Arena, pipes: Pipes, pool: PipePool) {
    this.#pipes = pipes
    this.#pool = pool
    this.#copied = new Vectors(arena, 1)
    this.#copied.set(0, arena.reserve(COPIED_BYTES, 64, "the local path of TCP"), COPIED_BYTES)
  }

  /** Moves what can be moved now, within the budget. */
  move(direction: Direction): number {
    this.movedBytes = 0
    for (;;) {
      if (direction.heldBytes > 0) {
        const result = this.#drain(direction)
        if (result !== Moved.part) return result
      }
      if (direction.hasEnded || !direction.isReadable) return Moved.all
      if (this.movedBytes >= BUDGET) return Moved.part
      const result = this.#fill(direction)
      if (result !== Moved.part) return result
    }
  }

  /** Closes a direction's pipe, and loses its contents. */
  abandon(direction: Direction): void {
    if (direction.pipe >= 0) this.#pool.discard(direction.pipe)
    direction.pipe = NO_PIPE
    direction.heldBytes = 0
  }

  /** Fills a pipe, or copies. Returns `Moved.part` once something was read. */
  #fill(direction: Direction): number {
    const pipe = this.#pool.take()
    if (pipe < 0) return this.#copy(direction)
    const count = this.#pipes.fill(pipe, direction.from)
    if (count > 0) {
      direction.pipe = pipe
      direction.heldBytes = count
      return Moved.part
    }
    this.#pool.giveBack(pipe)
    if (count === -Errno.EAGAIN && direction.isUrgent) {
      direction.isUrgent = false
      return this.#copy(direction)
    }
    // At an urgent mark, splice(2) reports the end of a stream that has ended, although bytes are unread.
    if (count === 0 && direction.fromHost.unread(direction.from) > 0) return this.#copy(direction)
    return this.#stop(direction, count)
  }

  /** Copies bytes. Returns `Moved.part` once something was taken. */
  #copy(direction: Direction): number {
    if (!direction.isWritable) return Moved.all
    const { from, fromHost, to, toHost } = direction
    const copied = this.#copied
    const offset = copied.offsetAt(0)
    const count = fromHost.peek(from, copied, 0, 1, 0)
    if (count <= 0) return this.#stop(direction, count)
    copied.set(0, offset, count)
    const taken = toHost.send(to, copied, 0, 1)
    copied.set(0, offset, COPIED_BYTES)
    if (taken > 0) {
      fromHost.discard(from, taken)
      this.movedBytes += taken
      return Moved.part
    }
    if (taken !== -Errno.EAGAIN) return taken
    direction.isWritable = false
    return Moved.all
  }

  /** Notes that there was nothing to read: for now, for ever, or because of an error. */
  #stop(direction: Direction, result: number): number {
    if (result === 0) direction.ending = Ending.read
    else if (result === -Errno.EAGAIN) direction.isReadable = false
    else return result
    return Moved.all
  }

  /** Empties the pipe. Returns `Moved.part` once it is empty. */
  #drain(direction: Direction): number {
    while (direction.heldBytes > 0) {
      if (!direction.isWritable) return Moved.all
      const count = this.#pipes.drain(direction.pipe, direction.to, direction.heldBytes)
      if (count === -Errno.EAGAIN) direction.isWritable = false
      else if (count < 0) return count
      else {
        direction.heldBytes -= count
        this.movedBytes += count
      }
    }
    this.#pool.giveBack(direction.pipe)
    direction.pipe = NO_PIPE
    return Moved.part
  }
}
