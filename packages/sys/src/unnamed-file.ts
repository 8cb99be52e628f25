/**
 * Files without a name (`O_TMPFILE` of open(2)): no other user can open or replace one, and nothing is left of it once
 * its descriptor is closed.
 */
import { accessSync, closeSync, constants, fchmodSync, openSync, writeFileSync } from "node:fs"

/** Folders that everybody may write to. The first two are rarely on a disk. */
const FOLDERS: readonly string[] = ["/dev/shm", "/tmp", "/var/tmp"]
/** `O_TMPFILE` is this and the flag of folders. Together with `O_EXCL`, the file can't get a name. */
const NAMELESS = 0o20000000 | constants.O_DIRECTORY | constants.O_EXCL

/**
 * Creates an executable file. Returns a descriptor of it, for reading. If none of the folders can have such a file, or
 * none allows its execution, returns why the last one doesn't.
 *
 * @param contents returns its bytes, given that descriptor. What it throws is thrown
 */
export function createUnnamedFile(
  contents: (descriptor: number) => Uint8Array,
  folders: readonly string[] = FOLDERS,
): number | Error {
  let reason = new Error("no folder is named")
  for (const folder of folders) {
    const file = createIn(folder, contents)
    if (typeof file === "number") return file
    reason = file
  }
  return reason
}

/** The path by which this process, and the children that inherit it, open a descriptor's file. */
export function pathOfDescriptor(descriptor: number): string {
  return `/proc/self/fd/${descriptor}`
}

function createIn(folder: string, contents: (descriptor: number) => Uint8Array): number | Error {
  const file = openIn(folder)
  if (file instanceof Error) return file
  const { written, read } = file
  let isComplete = false
  try {
    const bytes = contents(read)
    const failure = failureOf(() => writeFileSync(written, bytes))
    isComplete = failure === undefined
    return failure ?? read
  } finally {
    // A file that is open for writing can't be executed.
    closeSync(written)
    if (!isComplete) closeSync(read)
  }
}

/** Opens an empty file, for writing and for reading. */
function openIn(folder: string): { readonly written: number; readonly read: number } | Error {
  let written: number | undefined
  try {
    written = openSync(folder, NAMELESS | constants.O_RDWR, 0o700)
    const path = pathOfDescriptor(written)
    // Whatever the umask is.
    fchmodSync(written, 0o500)
    // Not where execution is forbidden.
    accessSync(path, constants.X_OK)
    return { written, read: openSync(path, constants.O_RDONLY) }
  } catch (error) {
    if (written !== undefined) closeSync(written)
    return error as Error
  }
}

function failureOf(run: () => void): Error | undefined {
  try {
    run()
    return undefined
  } catch (error) {
    return error as Error
  }
}
