import { closeSync, readSync, writeSync } from "node:fs"
import type { Arena } from "@demiflow/core"
import type { Native } from "@demiflow/sys"

/** How to reach the helper. */
export interface HelperPlace {
  /** The connection to it. */
  readonly descriptor: number
  /** Id of the child process to wait for; absent: the helper is another process's child. */
  readonly process?: number | undefined
}

/** The wall's first half, as found by a process that was started behind it. */
export interface Birth {
  /** Empties the file system; undefined: there is no helper. */
  readonly helper: HelperPlace | undefined
  readonly hasNamespaces: boolean
}

/**
 * The process that has kept the privileges to mount, in this process's mount namespace: see `birthSteps`. It answers
 * each request with a byte, or ends.
 */
export class WallHelper {
  readonly #descriptor: number
  readonly #process: number | undefined
  #hasMounted = false

  constructor({ descriptor, process }: HelperPlace) {
    this.#descriptor = descriptor
    this.#process = process
  }

  /**
   * Mounts a folder on itself, so that a descriptor of it leads to nothing above it once the root is empty. To be
   * called once, before the folder is opened. If that fails, the root isn't emptied, either.
   *
   * @param path absolute
   */
  mountOnItself(path: string): void {
    this.#hasMounted = true
    this.#ask(`${path}\0`)
  }

  /**
   * Empties the file system for every process of the mount namespace; returns false if that fails. The helper has ended
   * then. To be called once.
   */
  emptyRoot(native: Native, arena: Arena): boolean {
    // The helper expects a path first.
    if (!this.#hasMounted) this.mountOnItself("")
    const isEmpty = this.#ask("\0")
    closeSync(this.#descriptor)
    if (this.#process !== undefined) native.waitPid(this.#process, 0, arena.reserve(4, 4, "the sandbox"))
    return isEmpty
  }

  #ask(request: string): boolean {
    try {
      writeSync(this.#descriptor, request)
      return readSync(this.#descriptor, new Uint8Array(1)) === 1
    } catch {
      // The helper has ended.
      return false
    }
  }
}
