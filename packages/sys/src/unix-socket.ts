/** UNIX sockets, unix(7): their addresses in the file system, and the process at the other end. */
import type { Arena } from "@demiflow/core"
import { AddressFamily, SocketLevel, SocketOption } from "./constants.ts"
import { checkResult } from "./errno.ts"
import type { Native } from "./native.ts"

/** Bytes of the longest path that a UNIX socket can have; the name in `sockaddr_un` ends with a zero. */
export const UNIX_SOCKET_PATH_BYTES = 107

/** Bytes of the longest socket address, with family and final zero. */
export const UNIX_SOCKET_ADDRESS_BYTES: number = 2 + UNIX_SOCKET_PATH_BYTES + 1

/** Thrown for a path that a UNIX socket can't have. */
export class UnixSocketPathError extends RangeError {
  readonly code = "ERR_UNIX_SOCKET_PATH"

  constructor(path: string, reason: string) {
    super(`"${path}" can't be the path of a UNIX socket: ${reason}`)
    this.name = "UnixSocketPathError"
  }
}

/**
 * The `sockaddr_un` of a path: what `bind` and `connect` take, once it is in the arena. Throws
 * {@link UnixSocketPathError} for a path that is empty, contains a zero byte, or has more than
 * {@link UNIX_SOCKET_PATH_BYTES} bytes as UTF-8.
 */
export function unixSocketAddress(path: string): Uint8Array {
  const bytes = new TextEncoder().encode(path)
  // An empty name would make the kernel choose one; a leading zero byte would be a name outside the file system.
  if (bytes.length === 0) throw new UnixSocketPathError(path, "it is empty")
  if (bytes.includes(0)) throw new UnixSocketPathError(path, "it contains a zero byte")
  if (bytes.length > UNIX_SOCKET_PATH_BYTES) {
    const limit = `it has ${bytes.length} bytes, and no more than ${UNIX_SOCKET_PATH_BYTES} are possible`
    throw new UnixSocketPathError(path, `${limit}; give a shorter one`)
  }
  const address = new Uint8Array(2 + bytes.length + 1)
  new DataView(address.buffer).setUint16(0, AddressFamily.unix, true)
  address.set(bytes, 2)
  return address
}

/** The process that opened the other end of a UNIX socket: that connected, or began to listen. */
export interface PeerCredentials {
  /** Its process id in this process's namespace; 0 if it has none there. */
  readonly process: number
  readonly user: number
  readonly group: number
}

/** `struct ucred`: three 32-bit numbers. */
const CREDENTIALS_BYTES = 12

/**
 * Reads which process is at the other end of a connected UNIX socket (SO_PEERCRED). Throws a `SystemError` on failure.
 *
 * @param scratchOffset 12 bytes of the arena that the caller has free
 */
export function readPeerCredentials(
  native: Native,
  arena: Arena,
  descriptor: number,
  scratchOffset: number,
): PeerCredentials {
  const { socket } = SocketLevel
  const length = native.getOption(descriptor, socket, SocketOption.peerCredentials, scratchOffset, CREDENTIALS_BYTES)
  checkResult(length, "identify the process at the other end of a UNIX socket")
  return {
    process: arena.view.getInt32(scratchOffset, true),
    user: arena.view.getUint32(scratchOffset + 4, true),
    group: arena.view.getUint32(scratchOffset + 8, true),
  }
}
