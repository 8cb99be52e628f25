/**
 * The local path: from sockets of the host to sockets inside the guest's namespace and back, past the tap. What moves
 * there is never a packet of ours.
 *
 * Only a guest that shares our kernel has it: a network namespace, but no virtual machine. `@demiflow/sys` implements it with
 * the Linux kernel, `@demiflow/testkit` in memory. As with {@link Host}, nothing here throws, and negative answers are
 * negated error numbers.
 */
import { Interface, type InterfaceId } from "./demiflow.ts"
import type { Host, Socket } from "./host.ts"

declare const brand: unique symbol

/** A pipe, 0 or above; a negative value is a negated error number. */
export type Pipe = number & { readonly [brand]: true }

/** No pipe. */
export const NO_PIPE: Pipe = -1 as Pipe

/** Bytes on their way from one TCP socket to another, which stay in the kernel: splice(2). */
export interface Pipes {
  /** An empty pipe, as large as the kernel allows. */
  open(): Pipe
  /** Closes a pipe; what is in it is lost. */
  close(pipe: Pipe): void
  /**
   * Moves bytes that have arrived at a TCP socket into a pipe that is empty: as many as there are, or as it takes. Answers how
   * many; 0 at the end of what the correspondent sends; `-EAGAIN` if there are none yet. Before a byte that is marked as urgent
   * (`HostEvent.urgent`) the answer is `-EAGAIN` too, or 0 if the correspondent has ended: only reading gets past such a byte.
   */
  fill(pipe: Pipe, socket: Socket): number
  /**
   * Hands the first `length` bytes of those in a pipe to a TCP socket. Answers how many it took; `-EAGAIN` if none: its
   * an event says then that it is writable.
   */
  drain(pipe: Pipe, socket: Socket, length: number): number
}

/** What the local path is made of. */
export interface LocalPath {
  /** Sockets inside the namespace, on the arena and with the events of the host's. */
  readonly host: Host
  readonly pipes: Pipes
}

/** Whose sockets a side's are: those of the host, or inside the namespace. Undefined where there are none. */
export function hostAt(
  parts: { readonly host: Host; readonly localPath?: LocalPath | undefined },
  place: InterfaceId,
): Host | undefined {
  if (place === Interface.host) return parts.host
  return place === Interface.splice ? parts.localPath?.host : undefined
}
