import type { Pipe, Pipes } from "@demiflow/core"

/** Unused pipes that are kept open. All pipes of an ordinary user share one limit of the kernel (pipe(7)). */
const MOST_SPARE = 2

/**
 * Empty pipes. A direction needs one only for the moment between reading and writing, unless its receiver takes
 * nothing: so one or two serve any number of connections.
 */
export class PipePool {
  readonly #pipes: Pipes
  readonly #spare: Pipe[] = []

  constructor(pipes: Pipes) {
    this.#pipes = pipes
  }

  /** Returns an empty pipe, or a negated error number. */
  take(): Pipe {
    return this.#spare.pop() ?? this.#pipes.open()
  }

  /** Takes an empty pipe back. */
  giveBack(pipe: Pipe): void {
    if (this.#spare.length < MOST_SPARE) this.#spare.push(pipe)
    else this.#pipes.close(pipe)
  }

  /** Closes the unused pipes. */
  clear(): void {
    for (const pipe of this.#spare.splice(0)) this.#pipes.close(pipe)
  }

  /** Closes a pipe whose contents are no longer needed. */
  discard(pipe: Pipe): void {
    this.#pipes.close(pipe)
  }
}
