/**
 * Files that the user names for us to write: the log, the capture, the PID file.
 *
 * They may lie in a folder of somebody who isn't the user. That somebody can put a link, a file or a FIFO there first: by a link,
 * root would empty any file of the system, and a file or FIFO of somebody else shows that somebody all that root writes. So root
 * writes to what is root's alone: by a link of root's own, as `/dev/stdout`, and to a file or FIFO of root's, of one name. Devices
 * are root's to make. Other users can write nothing by a link that isn't theirs to write anyway. A folder on the way that is a
 * link is followed as ever: for a folder that others can write to, root had better not name a file at all.
 *
 * A path that names a descriptor of this process needs no such care: the caller has opened that file. In a user namespace, where
 * the machine's root is a stranger, `/dev/stdout` would be a stranger's link.
 *
 * A file is checked as it is open, and emptied after that. Opening waits for nobody: neither does writing to a FIFO.
 */
import { closeSync, constants, fchmodSync, fstatSync, ftruncateSync, lstatSync, openSync } from "node:fs"
import { isRoot, readIdentityFacts } from "./identity.ts"
import { descriptorOf, pathOf } from "./own-descriptor.ts"

const { O_CREAT, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_RDWR } = constants
/** What is in the files is the business of who made them. The C implementation has the same mode. */
const MODE = 0o600
/** What root leaves of the mode of a file that is there: a group may read it. */
const KEPT_MODE = 0o640
const PERMISSIONS = 0o7777
const ROOT = 0

/**
 * Opens a file, emptied, to write to it and to read it back; a FIFO without blocking. Throws what the system says, or what root
 * doesn't write to.
 *
 * @param access `O_RDWR` or `O_WRONLY`
 */
export function openOutputFile(path: string, access: number = O_RDWR): number {
  const flags = access | O_CREAT | O_NONBLOCK | O_NOCTTY
  const named = descriptorOf(path)
  const isPathOfRoot = named === undefined && process.geteuid?.() === ROOT
  const descriptor = isPathOfRoot ? openAsRoot(path, flags) : open(named === undefined ? path : pathOf(named), flags)
  try {
    // The root of a user namespace knows few users, and has no more rights than one with the files of the others.
    empty(descriptor, isPathOfRoot && isRoot(readIdentityFacts()))
    return descriptor
  } catch (error) {
    closeSync(descriptor)
    throw error
  }
}

function openAsRoot(path: string, flags: number): number {
  try {
    return open(path, flags | O_NOFOLLOW)
  } catch (error) {
    const owner = ownerOfLink(path)
    if (owner === undefined) throw error
    if (owner !== ROOT) throw new Error(`it is a symbolic link of user ${owner}, which root doesn't follow`)
    return open(path, flags)
  }
}

function open(path: string, flags: number): number {
  try {
    return openSync(path, flags, MODE)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENXIO") throw error
    throw new Error("nobody has opened the FIFO or socket for reading", { cause: error })
  }
}

function empty(descriptor: number, isGuarded: boolean): void {
  const status = fstatSync(descriptor)
  if (isGuarded && (status.isFile() || status.isFIFO())) {
    if (status.uid !== ROOT)
      throw new Error(`it belongs to user ${status.uid}, and root writes to files of its own only`)
    if (status.nlink > 1) throw new Error("it has another name (a hard link), which somebody else may have given it")
    const mode = status.mode & PERMISSIONS
    if ((mode & ~KEPT_MODE) !== 0) fchmodSync(descriptor, mode & KEPT_MODE)
  }
  if (status.isFile()) ftruncateSync(descriptor)
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
