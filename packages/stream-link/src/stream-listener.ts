/**
 * The UNIX socket at which hypervisors connect.
 *
 * A socket's file outlives whoever made it, so a file at the path means nothing by itself. If somebody accepts connections
 * there, the path is in use; if connecting is refused, the file is left over and is replaced. A file that isn't a socket is
 * never removed. Who may connect is decided by the file's mode, which comes from the umask: nobody else usually.
 */
import { lstatSync, unlinkSync } from "node:fs"
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

/** Hypervisors that wait to be accepted, or to be refused. */
const QUEUE = 128
const NO_SUCH_FILE = 2 // ENOENT

/** Where a socket is made if no path is given: the first of these that is free. */
export const DEFAULT_STREAM_PATHS: readonly string[] = Array.from(
  { length: 64 },
  (_, index) => `/tmp/passt_${index + 1}.socket`,
)

/** Bytes of arena that making a listener takes. */
export const STREAM_LISTENER_ARENA_BYTES: number = 2 * 64 + UNIX_SOCKET_ADDRESS_BYTES

/** A listening socket. */
export class StreamListener {
  readonly descriptor: number
  readonly path: string
  readonly #native: Native
  /** Of the file that was made here. */
  readonly #identity: string | undefined
  #isOpen = true

  /** Takes over a UNIX stream socket that listens already. See {@link listenAt} and {@link listenAtFirstFree} for a new one. */
  constructor(native: Native, descriptor: number, path: string, identity?: string) {
    this.#native = native
    this.descriptor = descriptor
    this.path = path
    this.#identity = identity
  }

  /** The descriptor of a hypervisor that has connected, or a negated error number: `-EAGAIN` if there is none. */
  accept(): number {
    return this.#native.accept(this.descriptor, 0, 0)
  }

  /** Stops listening. The file goes as well, if it is still the one that was made here, and can be reached. */
  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#native.close(this.descriptor)
    if (this.#identity === undefined || fileAt(this.path)?.identity !== this.#identity) return
    try {
      unlinkSync(this.path)
    } catch {
      // A folder that became unwritable keeps its socket: whoever comes next finds that nobody accepts there.
    }
  }
}

/**
 * Listens at a path. Throws {@link StreamError} if it is in use or can't be used, and `UnixSocketPathError` if it is too long.
 */
export function listenAt(native: Native, arena: Arena, path: string): StreamListener {
  return listen(native, arena, arena.reserve(UNIX_SOCKET_ADDRESS_BYTES), path)
}

/** Listens at the first path that is free. Throws {@link StreamError} with code `ERR_STREAM_NO_FREE_PATH` if none is. */
export function listenAtFirstFree(
  native: Native,
  arena: Arena,
  paths: readonly string[] = DEFAULT_STREAM_PATHS,
): StreamListener {
  const scratch = arena.reserve(UNIX_SOCKET_ADDRESS_BYTES)
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

function listen(native: Native, arena: Arena, scratch: number, path: string): StreamListener {
  const address = unixSocketAddress(path)
  arena.bytes.set(address, scratch)
  removeLeftover(native, scratch, address.length, path)
  const descriptor = openSocket(native)
  const result = native.bind(descriptor, scratch, address.length)
  if (result < 0) {
    native.close(descriptor)
    throw result === -Errno.EADDRINUSE ? inUse(path) : unusable(path, result)
  }
  const identity = fileAt(path)?.identity
  checkResult(native.listen(descriptor, QUEUE), `listen at ${path}`)
  return new StreamListener(native, descriptor, path, identity)
}

/** Removes a socket at which nobody accepts connections. Throws if it is anything else. */
function removeLeftover(native: Native, scratch: number, addressLength: number, path: string): void {
  const found = fileAt(path)
  if (found === undefined) return
  if (!found.isSocket) {
    throw new StreamError("ERR_STREAM_PATH", `"${path}" exists and isn't a socket: remove it, or choose another path`)
  }
  const descriptor = openSocket(native)
  const result = native.connect(descriptor, scratch, addressLength)
  native.close(descriptor)
  // EAGAIN: somebody listens, and as many wait already as may.
  if (result === 0 || result === -Errno.EAGAIN) throw inUse(path)
  if (result === -NO_SUCH_FILE) return
  if (result !== -Errno.ECONNREFUSED) throw unusable(path, result)
  try {
    unlinkSync(path)
  } catch (cause) {
    const reason = cause instanceof Error && "errno" in cause ? errnoSentence(Number(cause.errno)) : String(cause)
    throw new StreamError("ERR_STREAM_PATH", `The socket left over at "${path}" can't be removed: ${reason}`, { cause })
  }
}

function openSocket(native: Native): number {
  return checkResult(native.socket(AddressFamily.unix, SocketType.stream, 0), "make a UNIX socket")
}

function inUse(path: string): StreamError {
  const message = `Another program accepts connections at "${path}": end it, or choose another path`
  return new StreamError("ERR_STREAM_PATH_IN_USE", message)
}

function unusable(path: string, errno: number): StreamError {
  const cause = new SystemError(`use "${path}"`, errno)
  return new StreamError("ERR_STREAM_PATH", `"${path}" can't be used for a socket: ${errnoSentence(errno)}`, { cause })
}

function fileAt(path: string): { isSocket: boolean; identity: string } | undefined {
  try {
    const status = lstatSync(path, { bigint: true })
    return { isSocket: status.isSocket(), identity: `${status.dev}:${status.ino}` }
  } catch {
    // Not there, or out of reach: whoever binds is told why.
    return undefined
  }
}
