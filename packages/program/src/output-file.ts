/**
 * Files that the user names for us to write: the log, the capture, the PID file.
 *
 * They may lie in a folder of somebody who isn't the user, and who could have root empty any file of the system by a
 * symbolic link. So root follows a link only if it is root's own. Links of root's have their uses, as `/dev/stdout`, and
 * whoever isn't root can write nothing by a link that isn't theirs to write anyway. A folder on the way that is a link is
 * followed as ever: for a folder that others can write to, root had better not name a file at all.
 *
 * A path that names a descriptor of this process needs no such care: the caller has opened that file. In a user namespace, where
 * the machine's root is a stranger, `/dev/stdout` would be a stranger's link.
 */
import { constants, lstatSync, openSync } from "node:fs"
import { descriptorOf, pathOf } from "./own-descriptor.ts"

const { O_CREAT, O_TRUNC, O_RDWR, O_NOFOLLOW } = constants
/** For who made them: what is in them is nobody else's business. The C implementation has it as well. */
const MODE = 0o600
const ROOT = 0

/**
 * Opens a file, emptied, to write to it and to read it back. Throws what the system says, or that the link is somebody else's.
 *
 * @param access `O_RDWR` or `O_WRONLY`
 */
export function openOutputFile(path: string, access: number = O_RDWR): number {
  const flags = access | O_CREAT | O_TRUNC
  const descriptor = descriptorOf(path)
  if (descriptor !== undefined) return openSync(pathOf(descriptor), flags, MODE)
  if (process.geteuid?.() !== ROOT) return openSync(path, flags, MODE)
  try {
    return openSync(path, flags | O_NOFOLLOW, MODE)
  } catch (error) {
    const owner = ownerOfLink(path)
    if (owner === undefined) throw error
    if (owner !== ROOT) throw new Error(`it is a symbolic link of user ${owner}, which root doesn't follow`)
    return openSync(path, flags, MODE)
  }
}

/** Undefined if it isn't a symbolic link. */
function ownerOfLink(path: string): number | undefined {
  try {
    const status = lstatSync(path)
    return status.isSymbolicLink() ? status.uid : undefined
  } catch {
    return undefined
  }
}
