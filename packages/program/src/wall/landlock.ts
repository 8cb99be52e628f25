/**
 * The access that a data path gives up by Landlock, as a second barrier besides the empty root and the filter:
 * landlock(7).
 */
import type { Step } from "@demiflow/sys"

/**
 * LANDLOCK_ACCESS_FS_… of <linux/landlock.h>: all rights of a version and of those before. Versions not listed add
 * none.
 */
const FILES_SINCE: readonly (readonly [version: number, rights: number])[] = [
  [5, 0xffff],
  [3, 0x7fff],
  [2, 0x3fff],
  [1, 0x1fff],
]
const REMOVE_FILE = 1 << 5

/**
 * LANDLOCK_SCOPE_…: connections to abstract sockets. Not signals: those requested for the end of the parent would be
 * refused.
 */
const SCOPES = { since: 6, all: 1 } as const

/**
 * LANDLOCK_RESTRICT_SELF_TSYNC. In earlier versions, a restriction applies to the calling thread and those that it
 * starts.
 */
const ALL_THREADS = { since: 8, flag: 1 << 3 } as const

/**
 * The step after which nothing can be opened; undefined where the kernel has no Landlock. Open files stay open.
 *
 * @param version `landlockVersion()`
 * @param folder a descriptor of the folder below which files may be removed; undefined: nowhere
 */
export function restriction(version: number, folder: number | undefined): Step | undefined {
  const [, files] = FILES_SINCE.find(([since]) => version >= since) ?? []
  if (files === undefined) return undefined
  return {
    kind: "restrict",
    files,
    scopes: version >= SCOPES.since ? SCOPES.all : 0,
    flags: version >= ALL_THREADS.since ? ALL_THREADS.flag : 0,
    folder,
    allowed: folder === undefined ? 0 : REMOVE_FILE,
  }
}
