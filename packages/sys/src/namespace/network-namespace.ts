import type { Arena } from "@demiflow/core"
import { SocketFlag } from "../constants.ts"
import type { Native } from "../native.ts"

/**
 * A network namespace in which a program opens what it needs. Every function answers zero or more, or a negated errno. What was opened
 * stays in that namespace, and is closed on exec.
 */
export interface NetworkNamespace {
  /** A descriptor of a file, as it is seen inside: `/dev/net/tun`, `/proc/thread-self/net/tcp`. */
  open(path: string, flags: number): number
  /** A blocking socket. */
  socket(family: number, type: number, protocol: number): number
  /**
   * Up to {@link MOST_SOCKETS} sockets that don't block, by their descriptors, 32-bit integers at an offset of the arena. Answers how
   * many: fewer than asked for if one couldn't be made.
   */
  sockets(family: number, type: number, protocol: number, offset: number, count: number): number
  /** Writes bytes of the arena with the privileges that there are inside. Answers how many. */
  write(descriptor: number, offset: number, length: number): number
  /** A request whose structure lies in the arena, with the privileges that there are inside. */
  ioctl(descriptor: number, request: number, offset: number, length: number): number
  /** Binds a socket to an address in the arena, with the privileges that there are inside: also to a port below 1024. */
  bind(descriptor: number, addressOffset: number, length: number): number
}

/** Sockets that are made at once, at most. */
export const MOST_SOCKETS = 16

/** A namespace over which this process has privileges: a thread visits it for each call. Or this process' own. */
export class VisitedNamespace implements NetworkNamespace {
  readonly #native: Native
  readonly #view: DataView
  readonly #descriptor: number

  /** @param descriptor an open network namespace; absent: the one that this process is in */
  constructor(native: Native, arena: Arena, descriptor = -1) {
    this.#native = native
    this.#view = arena.view
    this.#descriptor = descriptor
  }

  open(path: string, flags: number): number {
    return this.#native.openInNamespace(this.#descriptor, path, flags)
  }

  socket(family: number, type: number, protocol: number): number {
    return this.#native.socketInNamespace(this.#descriptor, family, type, protocol)
  }

  sockets(family: number, type: number, protocol: number, offset: number, count: number): number {
    let made = 0
    for (; made < Math.min(count, MOST_SOCKETS); made++) {
      const descriptor = this.socket(family, type | SocketFlag.nonBlocking, protocol)
      if (descriptor < 0) return made === 0 ? descriptor : made
      this.#view.setInt32(offset + 4 * made, descriptor, true)
    }
    return made
  }

  write(descriptor: number, offset: number, length: number): number {
    return this.#native.write(descriptor, offset, length)
  }

  ioctl(descriptor: number, request: number, offset: number): number {
    return this.#native.ioctl(descriptor, request, offset)
  }

  bind(descriptor: number, addressOffset: number, length: number): number {
    return this.#native.bind(descriptor, addressOffset, length)
  }
}
