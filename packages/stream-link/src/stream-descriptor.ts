import type { Arena } from "@demiflow/core"
import { type Native, readPeerCredentials, SocketLevel, SocketType } from "@demiflow/sys"
import { StreamError } from "./stream-errors.ts"

/** socket(7): the socket's type, and whether it listens. */
const SO_TYPE = 3
const SO_ACCEPTCONN = 30
const NOT_OPEN = -9 // EBADF

/**
 * Checks that a descriptor opened by another program is a connected stream socket, of any address family. Throws
 * {@link StreamError} with code `ERR_STREAM_DESCRIPTOR` if not.
 */
export function checkStreamDescriptor(native: Native, descriptor: number): void {
  const type = native.getOptionInteger(descriptor, SocketLevel.socket, SO_TYPE)
  if (type === NOT_OPEN) throw unusable(descriptor, "isn't open")
  if (type < 0) throw unusable(descriptor, "isn't a socket")
  if (type !== SocketType.stream) throw unusable(descriptor, "isn't a stream socket")
  if (native.getOptionInteger(descriptor, SocketLevel.socket, SO_ACCEPTCONN) > 0) {
    throw unusable(descriptor, "listens, and has to be connected")
  }
  if (native.getPeerName(descriptor, 0, 0) < 0) throw unusable(descriptor, "isn't connected")
}

/**
 * The id of the process at the other end of a connected socket, in this process's PID namespace; 0 if unknown, since
 * the socket isn't a UNIX socket, or the process is outside of that namespace.
 */
export function processAtOtherEnd(native: Native, arena: Arena, descriptor: number, scratchOffset: number): number {
  return Math.max(0, readPeerCredentials(native, arena, descriptor, scratchOffset).process)
}

function unusable(descriptor: number, why: string): StreamError {
  return new StreamError(
    "ERR_STREAM_DESCRIPTOR",
    `Descriptor ${descriptor} can't be the hypervisor's socket: it ${why}`,
  )
}
