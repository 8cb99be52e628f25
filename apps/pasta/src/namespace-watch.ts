/**
 * Detects that the joined namespace is gone from the place where it was found: its process has ended, or its path leads
 * nowhere or to something else. By notification, without polling:
 *
 * - A pidfd is readable once its process has ended.
 * - inotify, by way of Node's `watch`, reports that a name in the path's folder was removed or created, or the folder
 *   itself was removed.
 * - `mountinfo` of proc(5) reports mounts, which inotify doesn't. A namespace is bound to its path by a mount, and is
 *   gone from there once unmounted, whether or not the file below is removed.
 *
 * After a notification, the helper checks the path, since it has the host's files. Where the helper can't check, a
 * notification that names the file is sufficient; an unmount is not detected then. Nor is the end of a thread whose
 * process continues. See docs/decisions/0012.
 */
import { type FSWatcher, watch } from "node:fs"
import { basename, dirname } from "node:path"
import type { Log } from "@demiflow/core"
import type { Machinery } from "@demiflow/program/data-path"
import { EpollEvent, type HelpedNamespace, OpenFlag } from "@demiflow/sys"
import { DataPathDescriptor } from "./descriptors.ts"
import { type ExistingNamespace, networkPath, processOf } from "./namespace-files.ts"

/** Paths for which inotify reports nothing, and in which `self` was the launcher: `/dev/fd` leads there as well. */
const PROC = /^\/(?:proc|dev\/fd)\//

const ENOENT = 2
const ENOTDIR = 20

/** The helper's functions that need the host's files. */
export type Onlooker = Pick<HelpedNamespace, "identify" | "open">

/** Receives a warning about what can't be detected. */
export type Warnings = Pick<Log, "warning">

/**
 * Calls back once the namespace is gone, or if it is gone already. Doesn't keep the process alive. Returns true if a
 * path must be checked for that.
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

/** Checks whether a path still leads to what was opened there. */
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

  /** Starts watching, and checks once: the namespace may be gone already. */
  begin({ loop }: Pick<Machinery, "loop">, log: Warnings): void {
    const mounts = this.#namespace.open("/proc/thread-self/mountinfo", OpenFlag.readOnly)
    if (mounts >= 0) loop.watchDescriptor(mounts, EpollEvent.urgent | EpollEvent.error, () => this.#check(false))
    const watcher = this.#watchFolder()
    if (watcher === undefined) log.warning(`Can't watch ${dirname(this.#path)}: pasta may stay after its namespace`)
    this.#check(false)
  }

  #watchFolder(): FSWatcher | undefined {
    try {
      const watcher = watch(dirname(this.#path), { persistent: false }, (event, name) => {
        if (event === "rename") this.#check(name === this.#name)
      })
      // The folder is gone, which was reported before.
      watcher.on("error", () => watcher.close())
      return watcher
    } catch {
      // The folder is gone already, or the user has no inotify watches left.
      return undefined
    }
  }

  /** @param isNotified true if a notification named this very file */
  #check(isNotified: boolean): void {
    if (this.#isGone(isNotified)) this.#onGone()
  }

  #isGone(otherwise: boolean): boolean {
    const found = this.#namespace.identify(this.#path)
    if (typeof found === "string") return found !== this.#identity
    return found === -ENOENT || found === -ENOTDIR || otherwise
  }
}
