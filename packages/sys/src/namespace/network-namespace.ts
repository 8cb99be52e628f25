import type { Arena } from "@demiflow/core"
import { SocketFlag } from "../constants.ts"
import type { Native } from "../native.ts"

/**
 * A network namespace in which a program opens what it needs. Every function returns zero or more, or a negated errno.
 * What was opened stays in that namespace, and is closed on exec.
 */
export interface NetworkNamespace {
  /** Opens a file by its path inside, such as `/dev/net/tun` or `/proc/thread-self/net/tcp`. Returns a descriptor. */
  open(path: string, flags: number): number
  /** Opens a blocking socket. */
  socket(family: number, type: number, protocol: number): number
  /**
   * Opens up to `MOST_SOCKETS` non-blocking sockets, and stores their descriptors, 32-bit integers, at an arena offset.
   * Returns how many: fewer than requested if one couldn't be opened.
   */
  sockets(family: number, type: number, protocol: number, offset: number, count: number): number
  /** Writes bytes of the arena with the privileges held inside. Returns how many. */
  write(descriptor: number, offset: number, length: number): number
  /** Makes an ioctl(2) request whose structure lies in the arena, with the privileges held inside. */
  ioctl(descriptor: number, request: number, offset: number, length: number): number
  /** Binds a socket to an address in the arena, with the privileges held inside: also to a port below 1024. */
  bind(descriptor: number, addressOffset: number, length: number): number
}

/** Most sockets opened by one call. */
export const MOST_SOCKETS = 16

/** A namespace over which this process has privileges, which a thread enters for each call; or this process's own. */
export class VisitedNamespace implements NetworkNamespace {
  readonly #native: Native
  readonly #view: DataView
  readonly #descriptor: number

  /** @param descriptor an open network namespace; absent: this process's own */
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
