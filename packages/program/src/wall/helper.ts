import { closeSync, readSync, writeSync } from "node:fs"
import type { Arena } from "@demiflow/core"
import type { Native } from "@demiflow/sys"

/** Where the helper is. */
export interface HelperPlace {
  /** The way to it. */
  readonly descriptor: number
  /** The process to wait for, of this process's children; absent: it is somebody else's child. */
  readonly process?: number | undefined
}

/**
 * The process that has kept the privileges to mount, in the mount namespace of this one: see `birthSteps`. It answers each request with
 * a byte, or ends.
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
   * Mounts a folder on itself, so that a descriptor of it leads to nothing above it once the root is empty. To be called once, before
   * the folder is opened. If that isn't possible, the root is not emptied, either.
   *
   * @param path absolute
   */
  mountOnItself(path: string): void {
    this.#hasMounted = true
    this.#ask(`${path}\0`)
  }

  /**
   * Empties the file system for every process of the mount namespace; false if that isn't possible. The helper has ended then. To be
   * called once.
   */
  emptyRoot(native: Native, arena: Arena): boolean {
    // The helper waits for a path first.
    if (!this.#hasMounted) this.mountOnItself("")
    const isEmpty = this.#ask("\0")
    closeSync(this.#descriptor)
    if (this.#process !== undefined) native.waitPid(this.#process, 0, arena.reserve(4, 4))
    return isEmpty
  }

  #ask(request: string): boolean {
    try {
      writeSync(this.#descriptor, request)
      return readSync(this.#descriptor, new Uint8Array(1)) === 1
    } catch {
      // It has ended.
      return false
    }
  }
}
