/**
 * Notices that the namespace that was joined is gone from where it was found: its process has ended, its path leads
 * nowhere or to something else. By notification only:
 *
 * - A pidfd is readable once its process has ended.
 * - inotify, by way of Node's `watch`, reports that a name in the path's folder has gone or come, or the folder itself.
 * - `/proc/self/mountinfo` reports mounts, which inotify doesn't: a namespace is bound to its path by one, and is gone
 *   from there once that is unmounted, whether or not the file behind it is removed.
 *
 * What was meant by a notification is seen by looking at the path. Where this process may not look any more, because it has
 * become somebody else, the name of the file that has gone is enough; that it was only unmounted there isn't noticed. Nor is
 * the end of a thread whose process goes on. See docs/decisions/0012.
 */
import { type FSWatcher, fstatSync, statSync, watch } from "node:fs"
import { basename, dirname } from "node:path"
import type { Log } from "@demiflow/core"
import type { Machinery } from "@demiflow/program/data-path"
import { EpollEvent, OpenFlag } from "@demiflow/sys"
import { DataPathDescriptor } from "./descriptors.ts"
import { type ExistingNamespace, networkPath, processOf } from "./namespace-files.ts"

/** Where inotify reports nothing, and where `self` was the launcher. */
const PROC = /^\/proc\//

/** Whom to tell that something isn't noticed. */
export type Warnings = Pick<Log, "warning">

/**
 * Calls back once the namespace is gone, also if it is already. Keeps nothing from ending. True if a path has to be looked at for
 * that.
 */
export function watchNamespace(
  machinery: Machinery,
  target: ExistingNamespace,
  log: Warnings,
  onGone: () => void,
): boolean {
  if (processOf(target) !== undefined) {
    machinery.loop.watchDescriptor(DataPathDescriptor.process, EpollEvent.readable, onGone)
    return false
  }
  const path = networkPath(target)
  if (PROC.test(path)) return false
  new PathWatch(path, DataPathDescriptor.network, onGone).begin(machinery, log)
  return true
}

/** Whether a path still leads to what was opened there. */
export class PathWatch {
  readonly #path: string
  readonly #name: string
  readonly #device: number
  readonly #inode: number
  readonly #onGone: () => void

  /** @param descriptor what was opened there */
  constructor(path: string, descriptor: number, onGone: () => void) {
    const { dev, ino } = fstatSync(descriptor)
    this.#path = path
    this.#name = basename(path)
    this.#device = dev
    this.#inode = ino
    this.#onGone = onGone
  }

  /** Watches, and looks once: it may have gone before. */
  begin({ native, loop }: Pick<Machinery, "native" | "loop">, log: Warnings): void {
    const mounts = native.open("/proc/self/mountinfo", OpenFlag.readOnly, 0)
    if (mounts >= 0) loop.watchDescriptor(mounts, EpollEvent.urgent | EpollEvent.error, () => this.#look(false))
    const watcher = this.#watchFolder()
    if (watcher === undefined) log.warning(`Can't watch ${dirname(this.#path)}: pasta may stay after its namespace`)
    this.#look(false)
  }

  #watchFolder(): FSWatcher | undefined {
    try {
      const watcher = watch(dirname(this.#path), { persistent: false }, (event, name) => {
        if (event === "rename") this.#look(name === this.#name)
      })
      // The folder has gone: that was reported before.
      watcher.on("error", () => watcher.close())
      return watcher
    } catch {
      // It has gone already, or there are as many watches as this user may have.
      return undefined
    }
  }

  /** @param isTold true if a notification was about this very name */
  #look(isTold: boolean): void {
    if (this.#isGone(isTold)) this.#onGone()
  }

  #isGone(otherwise: boolean): boolean {
    try {
      const { dev, ino } = statSync(this.#path)
      return dev !== this.#device || ino !== this.#inode
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined
      return code === "ENOENT" || code === "ENOTDIR" || otherwise
    }
  }
}
