import type { Native } from "@demiflow/sys"

/**
 * The terminal in the foreground, which is taken back from the command.
 *
 * An interactive shell in the namespace makes a process group of its own the foreground one, and gives the terminal back
 * to the group that had it as it ends; but it can't, since process groups outside of its PID namespace have no number
 * for it. If the caller is no shell with job control, which takes the terminal itself, nobody could read from it any more.
 */
export class ForegroundTerminal {
  readonly #native: Native
  readonly #terminal: number | undefined

  /** Finds the terminal among the standard descriptors, if this process is in its foreground. */
  constructor(native: Native) {
    this.#native = native
    this.#terminal = [0, 1, 2].find((descriptor) => native.isForeground(descriptor) === 1)
  }

  /** True if the terminal sends its signals to this process' group. */
  get isForeground(): boolean {
    return this.#terminal !== undefined
  }

  /** Once the command has ended. */
  reclaim(): void {
    if (this.#terminal !== undefined) this.#native.reclaimForeground(this.#terminal)
  }
}
