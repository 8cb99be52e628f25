/**
 * Files that the user names for us to write: the log, the capture, the PID file.
 *
 * They may lie in a folder of another user, who can put a link, a file or a FIFO there first. Through a link, root
 * would empty any file of the system; through a file or FIFO of its own, that user would read all that root writes. So
 * root writes only to files of its own: by a link that belongs to root, such as `/dev/stdout`, and to a file or FIFO of
 * root's with a single name. Devices are trusted, since only root can create them. A program run by another user can't
 * write through a link anything that this user couldn't write anyway. A folder on the way that is a link is followed as
 * always: root should not name a file in a folder that others can write to at all.
 *
 * A path that names a descriptor of this process needs no such care: the caller has opened that file. And in a user
 * namespace, where the machine's root is a stranger, `/dev/stdout` would be a stranger's link.
 *
 * A file is checked once it is open, and emptied after that. Neither opening a FIFO nor writing to it blocks.
 */
import { closeSync, constants, fchmodSync, fstatSync, ftruncateSync, lstatSync, openSync } from "node:fs"
import { isRoot, readIdentityFacts } from "./identity.ts"
import { descriptorOf, pathOf } from "./own-descriptor.ts"

const { O_CREAT, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_RDWR } = constants
/** Only the user who creates the files may read them. The C implementation has the same mode. */
const MODE = 0o600
/** The permissions that root leaves on an existing file: a group may read it. */
const KEPT_MODE = 0o640
const PERMISSIONS = 0o7777
const ROOT = 0

/**
 * Opens a file for writing and reading back, and empties it; a FIFO without blocking. Throws the system's error, or one
 * for a file that root doesn't write to.
 *
 * @param access `O_RDWR` or `O_WRONLY`
 */
export function openOutputFile(path: string, access: number = O_RDWR): number {
  const flags = access | O_CREAT | O_NONBLOCK | O_NOCTTY
  const named = descriptorOf(path)
  const isPathOfRoot = named === undefined && process.geteuid?.() === ROOT
  const descriptor = isPathOfRoot ? openAsRoot(path, flags) : open(named === undefined ? path : pathOf(named), flags)
  try {
    // The root of a user namespace knows few users, and has no more rights than a user with the files of the others.
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

/** The owner of a symbolic link; undefined if the path isn't one. */
function ownerOfLink(path: string): number | undefined {
  try {
    const status = lstatSync(path)
    return status.isSymbolicLink() ? status.uid : undefined
  } catch {
    return undefined
  }
}
