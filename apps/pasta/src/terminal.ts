import type { Native } from "@demiflow/sys"

/**
 * The terminal in whose foreground this process is, to be reclaimed after the command.
 *
 * An interactive shell in the namespace puts a process group of its own in the foreground. When it ends, it would
 * return the terminal to the group that had it before. But it can't: process groups outside of its PID namespace have
 * no number inside. Unless the caller is a shell with job control, which reclaims the terminal itself, no process could
 * read from it any more.
 */
export class ForegroundTerminal {
  readonly #native: Native
  readonly #terminal: number | undefined

  /** Finds the terminal among the standard descriptors, if this process is in its foreground. */
  constructor(native: Native) {
    this.#native = native
    this.#terminal = [0, 1, 2].find((descriptor) => native.isForeground(descriptor) === 1)
  }

  /** True if the terminal sends its signals to this process's group. */
  get isForeground(): boolean {
    return this.#terminal !== undefined
  }

  /** To be called once the command has ended. */
  reclaim(): void {
    if (this.#terminal !== undefined) this.#native.reclaimForeground(this.#terminal)
  }
}
