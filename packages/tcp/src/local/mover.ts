import { Errno, NO_PIPE, type Pipes } from "@demiflow/core"
import type { Direction } from "./direction.ts"
import type { PipePool } from "./pipe-pool.ts"

/** Bytes that one direction may move before others have their turn. */
const BUDGET = 1 << 20

/** What became of an attempt to move bytes: one of these, or a negated error number of either socket. */
export const Moved = {
  /** All that there was, or that the receiver takes; an event tells when there is more to do. */
  all: 0,
  /** What the budget allows. */
  part: 1,
  /** Nothing, for want of a pipe. */
  noPipe: 2,
} as const

/** Moves bytes from socket to socket. They stay in the kernel. */
export class Mover {
  readonly #pipes: Pipes
  readonly #pool: PipePool
  /** Bytes of the last call. */
  movedBytes = 0

  constructor(pipes: Pipes, pool: PipePool) {
    this.#pipes = pipes
    this.#pool = pool
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

  /** Lets go of a pipe with what is in it. */
  abandon(direction: Direction): void {
    if (direction.pipe >= 0) this.#pool.discard(direction.pipe)
    direction.pipe = NO_PIPE
    direction.heldBytes = 0
  }

  #fill(direction: Direction): number {
    const pipe = this.#pool.take()
    if (pipe < 0) return Moved.noPipe
    const count = this.#pipes.fill(pipe, direction.from)
    if (count > 0) {
      direction.pipe = pipe
      direction.heldBytes = count
      return Moved.part
    }
    this.#pool.giveBack(pipe)
    if (count === 0) {
      direction.hasEnded = true
      return Moved.all
    }
    if (count !== -Errno.EAGAIN) return count
    direction.isReadable = false
    return Moved.all
  }

  /** `Moved.part` once the pipe is empty. */
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
