/**
 * The UNIX socket at which hypervisors connect.
 *
 * A socket's file outlives the process that created it, so a file at the path means nothing by itself: what counts is
 * whether a socket is bound to it. A datagram socket probes that, since the listening program would take a stream
 * socket for a hypervisor. The kernel reports a mismatch of types if a stream socket is bound, listening or about to,
 * and refuses the connection if none is: then the file is left over, and is replaced. Neither disturbs another program
 * (e2e/platform/listening.py). A file that isn't a socket is never removed. The file's mode decides which users may
 * connect. The mode comes from the umask, but never admits users other than owner and group: the first to connect
 * gets the guest's network.
 *
 * The folder may belong to a hostile user, who can put anything else at the path at any time. So the file is identified
 * by its device and inode numbers: any other file is neither given to another user nor removed.
 */
import { chownSync, closeSync, constants, fchmodSync, fstatSync, lstatSync, openSync, unlinkSync } from "node:fs"
import { basename, dirname } from "node:path"
import { type Arena, Errno } from "@demiflow/core"
import {
  AddressFamily,
  checkResult,
  errnoSentence,
  type Native,
  SocketType,
  SystemError,
  UNIX_SOCKET_ADDRESS_BYTES,
  unixSocketAddress,
} from "@demiflow/sys"
import { StreamError } from "./stream-errors.ts"

/** Hypervisors that wait to be accepted or refused. */
const QUEUE = 128
const NO_SUCH_FILE = 2 // ENOENT
const PROTOCOL_TYPE = 91 // EPROTOTYPE
/** Mode of a hypervisor socket's file, before the umask. */
const MODE = 0o770
/** `O_PATH`: a descriptor that stands for a file, whatever it is, without opening it. */
const PATH_ONLY = 0o10000000
const FOLDER_ONLY = PATH_ONLY | constants.O_DIRECTORY

/** Paths to listen at if none is given: the first one that is free. */
export const DEFAULT_STREAM_PATHS: readonly string[] = Array.from(
  { length: 64 },
  (_, index) => `/tmp/passt_${index + 1}.socket`,
)

/** Arena bytes that creating a listener takes. */
export const STREAM_LISTENER_ARENA_BYTES: number = 2 * 64 + UNIX_SOCKET_ADDRESS_BYTES

/** A listening socket. */
export class StreamListener {
  readonly descriptor: number
  readonly path: string
  readonly #native: Native
  /** Identity of the file created here. */
  readonly #identity: string | undefined
  readonly #folder: number
  #isOpen = true

  /** Takes over a listening UNIX stream socket. {@link listenAt} and {@link listenAtFirstFree} create a new one. */
  constructor(native: Native, descriptor: number, path: string, identity?: string) {
    this.#native = native
    this.descriptor = descriptor
    this.path = path
    this.#identity = identity
    this.#folder = identity === undefined ? -1 : native.open(dirname(path), FOLDER_ONLY, 0)
  }

  /**
   * Descriptor of the folder that contains the file, kept open to remove the file in the end; -1 if nothing is to be
   * removed.
   */
  get folder(): number {
    return this.#folder
  }

  /** Accepts a hypervisor. Returns its descriptor, or a negated error number: `-EAGAIN` if there is none. */
  accept(): number {
    return this.#native.accept(this.descriptor, 0, 0)
  }

  /**
   * Gives the file to another user, who can then remove it even from a sticky folder. Returns false if the file created
   * here is no longer at the path. Throws the system's error if this process may not give files away.
   */
  giveTo(user: number, group: number): boolean {
    const file = this.#identity === undefined ? -1 : openFile(this.path)
    if (file < 0) return false
    try {
      const status = fstatSync(file, { bigint: true })
      // A second name might have been given by another user to another program's socket.
      if (!status.isSocket() || identityOf(status) !== this.#identity || status.nlink !== 1n) return false
      // By descriptor: the path may lead to another file by now, and a symbolic link would be followed.
      chownSync(`/proc/self/fd/${file}`, user, group)
      return true
    } finally {
      closeSync(file)
    }
  }

  /** Stops listening. Removes the file, if it is still the one created here and can be reached. */
  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#native.close(this.descriptor)
    if (this.#folder < 0) return
    const name = basename(this.path)
    // If the folder has become unwritable, the file stays: the next listener finds that it is left over.
    if (this.#native.identityAt(this.#folder, name) === this.#identity) this.#native.unlinkAt(this.#folder, name)
    this.#native.close(this.#folder)
  }
}

/** How a path is listened at. */
export interface ListenOptions {
  /** Mode of the file, before the umask: 0770 if absent. */
  readonly mode?: number
  /** True to leave the file in the end: the next listener replaces it. */
  readonly leavesFile?: boolean
}

/**
 * Listens at a path. Throws {@link StreamError} if it is in use or can't be used, and `UnixSocketPathError` if it is
 * too long.
 */
export function listenAt(native: Native, arena: Arena, path: string, options: ListenOptions = {}): StreamListener {
  const scratch = arena.reserve(UNIX_SOCKET_ADDRESS_BYTES, 64, "a listening Unix socket")
  return listen(native, arena, scratch, path, options)
}

/**
 * Listens at the first path that is free. Throws {@link StreamError} with code `ERR_STREAM_NO_FREE_PATH` if none is.
 */
export function listenAtFirstFree(
  native: Native,
  arena: Arena,
  paths: readonly string[] = DEFAULT_STREAM_PATHS,
): StreamListener {
  const scratch = arena.reserve(UNIX_SOCKET_ADDRESS_BYTES, 64, "a listening Unix socket")
  let cause: unknown
  for (const path of paths) {
    try {
      return listen(native, arena, scratch, path)
    } catch (error) {
      if (!(error instanceof StreamError)) throw error
      cause = error
    }
  }
  const range = `${paths[0]} to ${paths.at(-1)}`
  throw new StreamError("ERR_STREAM_NO_FREE_PATH", `No path from ${range} can be used: give one yourself`, { cause })
}

function listen(
  native: Native,
  arena: Arena,
  scratch: number,
  path: string,
  { mode = MODE, leavesFile = false }: ListenOptions = {},
): StreamListener {
  const address = unixSocketAddress(path)
  arena.bytes.set(address, scratch)
  removeLeftover(native, scratch, address.length, path)
  const descriptor = openSocket(native, SocketType.stream)
  // Before the file exists: the kernel gives the file the socket's mode (unix(7) mentions the umask only).
  fchmodSync(descriptor, mode)
  const result = native.bind(descriptor, scratch, address.length)
  if (result < 0) {
    native.close(descriptor)
    throw result === -Errno.EADDRINUSE ? inUse(path) : unusable(path, result)
  }
  const identity = leavesFile ? undefined : fileAt(path)?.identity
  const listening = native.listen(descriptor, QUEUE)
  const listener = new StreamListener(native, descriptor, path, identity)
  if (listening >= 0) return listener
  listener.close()
  throw unusable(path, listening)
}

/** Removes a socket's file that no socket is bound to. Throws if it is anything else. */
function removeLeftover(native: Native, scratch: number, addressLength: number, path: string): void {
  const found = fileAt(path)
  if (found === undefined) return
  if (!found.isSocket) {
    throw new StreamError("ERR_STREAM_PATH", `"${path}" exists and isn't a socket: remove it, or choose another path`)
  }
  const descriptor = openSocket(native, SocketType.datagram)
  const result = native.connect(descriptor, scratch, addressLength)
  native.close(descriptor)
  // 0 and EPERM: a datagram socket is bound to it, which receives from anybody or from a single other one.
  if (result === 0 || result === -PROTOCOL_TYPE || result === -Errno.EPERM) throw inUse(path)
  if (result === -NO_SUCH_FILE) return
  if (result !== -Errno.ECONNREFUSED) throw unusable(path, result)
  // Another program may have replaced it meanwhile.
  if (fileAt(path)?.identity !== found.identity) throw inUse(path)
  try {
    unlinkSync(path)
  } catch (cause) {
    const reason = cause instanceof Error && "errno" in cause ? errnoSentence(Number(cause.errno)) : String(cause)
    throw new StreamError("ERR_STREAM_PATH", `The socket left over at "${path}" can't be removed: ${reason}`, { cause })
  }
}

function openSocket(native: Native, type: number): number {
  return checkResult(native.socket(AddressFamily.unix, type, 0), "make a UNIX socket")
}

function inUse(path: string): StreamError {
  const message = `Another program uses the socket "${path}": end it, or choose another path`
  return new StreamError("ERR_STREAM_PATH_IN_USE", message)
}

function unusable(path: string, errno: number): StreamError {
  const cause = new SystemError(`use "${path}"`, errno)
  return new StreamError("ERR_STREAM_PATH", `"${path}" can't be used for a socket: ${errnoSentence(errno)}`, { cause })
}

function fileAt(path: string): { isSocket: boolean; identity: string } | undefined {
  try {
    const status = lstatSync(path, { bigint: true })
    return { isSocket: status.isSocket(), identity: identityOf(status) }
  } catch {
    // Missing or inaccessible: bind() then fails with the reason.
    return undefined
  }
}

function identityOf({ dev, ino }: { readonly dev: bigint; readonly ino: bigint }): string {
  return `${dev}:${ino}`
}

/** Opens the file at the path, or the symbolic link itself. Returns a descriptor, or -1 if there is nothing. */
function openFile(path: string): number {
  try {
    return openSync(path, PATH_ONLY | constants.O_NOFOLLOW)
  } catch {
    return -1
  }
}
