/**
 * The local path: between sockets of the host and sockets inside the guest's namespace, bypassing the tap. Nothing that
 * moves there is ever a packet of ours.
 *
 * Only a guest that shares our kernel has it: a network namespace, but no virtual machine. `@demiflow/sys` implements
 * it with the Linux kernel, `@demiflow/testkit` in memory. As with {@link Sockets}, nothing here throws, and negative
 * results are negated error numbers.
 */
import { Interface, type InterfaceId } from "./demiflow.ts"
import type { Socket } from "./socket.ts"
import type { Sockets } from "./sockets.ts"

declare const brand: unique symbol

/** A pipe, 0 or above; a negative value is a negated error number. */
export type Pipe = number & { readonly [brand]: true }

/** No pipe. */
export const NO_PIPE: Pipe = -1 as Pipe

/** Pipes for bytes on their way from one TCP socket to another. The bytes stay in the kernel: splice(2). */
export interface Pipes {
  /** Opens an empty pipe, as large as the kernel allows. */
  open(): Pipe
  /** Closes a pipe and discards what is in it. */
  close(pipe: Pipe): void
  /**
   * Moves bytes that have arrived at a TCP socket into an empty pipe: all there are, or as many as fit. Returns their
   * number; 0 at the end of what the correspondent sends; `-EAGAIN` if there are none yet. Before an urgent byte
   * (`SocketEvent.urgent`) it returns `-EAGAIN` too, or 0 if the correspondent has ended: only reading gets past such a
   * byte.
   */
  fill(pipe: Pipe, socket: Socket): number
  /**
   * Hands the first `length` bytes in a pipe to a TCP socket. Returns the bytes taken; `-EAGAIN` if none were: an event
   * reports when the socket is writable.
   */
  drain(pipe: Pipe, socket: Socket, length: number): number
}

/** The parts of the local path. */
export interface LocalPath {
  /** Sockets inside the namespace, with the arena and the events of the host's sockets. */
  readonly sockets: Sockets
  readonly pipes: Pipes
}

/** Returns the sockets of a place: the host's, or those inside the namespace. Undefined where there are none. */
export function socketsAt(
  parts: { readonly sockets: Sockets; readonly localPath?: LocalPath | undefined },
  place: InterfaceId,
): Sockets | undefined {
  if (place === Interface.host) return parts.sockets
  return place === Interface.splice ? parts.localPath?.sockets : undefined
}
