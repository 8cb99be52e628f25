import type { Pipe, Pipes } from "@demiflow/core"

/** Pipes that are kept without being needed. All of an ordinary user share what the kernel lets them have (pipe(7)). */
const MOST_SPARE = 2

/**
 * Empty pipes. A direction needs one only for the moment between reading and writing, unless its receiver takes nothing: so
 * one or two serve any number of connections.
 */
export class PipePool {
  readonly #pipes: Pipes
  readonly #spare: Pipe[] = []

  constructor(pipes: Pipes) {
    this.#pipes = pipes
  }

  /** An empty pipe, or a negated error number. */
  take(): Pipe {
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
}
