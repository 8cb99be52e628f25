/**
 * Notices that the namespace that was joined is gone from where it was found: its process has ended, its path leads
 * nowhere or to something else. By notification only:
 *
 * - A pidfd is readable once its process has ended.
 * - inotify, by way of Node's `watch`, reports that a name in the path's folder has gone or come, or the folder itself.
 * - `mountinfo` of proc(5) reports mounts, which inotify doesn't: a namespace is bound to its path by one, and is gone
 *   from there once that is unmounted, whether or not the file behind it is removed.
 *
 * What was meant by a notification is seen by looking at the path, which the helper does: it has the host's files. Where the helper may
 * not look, the name of the file that has gone is enough; that it was only unmounted there isn't noticed. Nor is the end of
 * a thread whose process goes on. See docs/decisions/0012.
 */
import { type FSWatcher, watch } from "node:fs"
import { basename, dirname } from "node:path"
import type { Log } from "@demiflow/core"
import type { Machinery } from "@demiflow/program/data-path"
import { EpollEvent, type HelpedNamespace, OpenFlag } from "@demiflow/sys"
import { DataPathDescriptor } from "./descriptors.ts"
import { type ExistingNamespace, networkPath, processOf } from "./namespace-files.ts"

/** Where inotify reports nothing, and where `self` was the launcher: `/dev/fd` leads there as well. */
const PROC = /^\/(?:proc|dev\/fd)\//

const ENOENT = 2
const ENOTDIR = 20

/** What has the host's files. */
export type Onlooker = Pick<HelpedNamespace, "identify" | "open">

/** Whom to tell that something isn't noticed. */
export type Warnings = Pick<Log, "warning">

/**
 * Calls back once the namespace is gone, also if it is already. Keeps nothing from ending. True if a path has to be looked at for
 * that.
 */
export function watchNamespace(
  machinery: Machinery,
  target: ExistingNamespace,
  { descriptor, namespace }: { readonly descriptor: number; readonly namespace: Onlooker },
  log: Warnings,
  onGone: () => void,
): boolean {
  if (processOf(target) !== undefined) {
    machinery.loop.watchDescriptor(DataPathDescriptor.process, EpollEvent.readable, onGone)
    return false
  }
  const path = networkPath(target)
  if (PROC.test(path)) return false
  new PathWatch(path, descriptor, namespace, onGone).begin(machinery, log)
  return true
}

/** Whether a path still leads to what was opened there. */
export class PathWatch {
  readonly #path: string
  readonly #name: string
  readonly #namespace: Onlooker
  readonly #identity: string | number
  readonly #onGone: () => void

  /** @param descriptor what was opened there */
  constructor(path: string, descriptor: number, namespace: Onlooker, onGone: () => void) {
    this.#path = path
    this.#name = basename(path)
    this.#namespace = namespace
    this.#identity = namespace.identify(descriptor)
    this.#onGone = onGone
  }

  /** Watches, and looks once: it may have gone before. */
  begin({ loop }: Pick<Machinery, "loop">, log: Warnings): void {
    const mounts = this.#namespace.open("/proc/thread-self/mountinfo", OpenFlag.readOnly)
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
    const found = this.#namespace.identify(this.#path)
    if (typeof found === "string") return found !== this.#identity
    return found === -ENOENT || found === -ENOTDIR || otherwise
  }
}
