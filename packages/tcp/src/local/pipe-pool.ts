import type { Pipe, Pipes } from "@demiflow/core"

/** Pipes that are opened with the first, so that some are there when descriptors run out. */
const KEPT_BACK = 8
/** Pipes that are kept without being needed. All of an ordinary user share what the kernel lets them have (pipe(7)). */
const MOST_SPARE = 16

/**
 * Empty pipes. A direction needs one only for the moment between reading and writing, unless its receiver takes nothing: so a
 * few serve any number of connections.
 */
export class PipePool {
  readonly #pipes: Pipes
  readonly #spare: Pipe[] = []
  #hasBegun = false

  constructor(pipes: Pipes) {
    this.#pipes = pipes
  }

  /** An empty pipe, or a negated error number. */
  take(): Pipe {
    if (!this.#hasBegun) this.#begin()
    return this.#spare.pop() ?? this.#pipes.open()
  }

  /** Takes one back that is empty again. */
  giveBack(pipe: Pipe): void {
    if (this.#spare.length < MOST_SPARE) this.#spare.push(pipe)
    else this.#pipes.close(pipe)
  }

  /** Takes one that still has bytes in it, which nobody wants any more. */
  discard(pipe: Pipe): void {
    this.#pipes.close(pipe)
  }

  #begin(): void {
    this.#hasBegun = true
    while (this.#spare.length < KEPT_BACK) {
      const pipe = this.#pipes.open()
      if (pipe < 0) return
      this.#spare.push(pipe)
    }
  }
}
