/**
 * Sockets inside a network namespace, for a program outside of it.
 *
 * A process inside opens them. Each request costs two context switches, far more than opening a socket does. So one
 * request opens several, and the spare ones wait here. The number starts at one and doubles with each request, so that
 * a program that needs few sockets holds few.
 */
import { type Arena, isShortage } from "@demiflow/core"
import { AddressFamily, SocketType } from "../constants.ts"
import type { Native } from "../native.ts"
import { MOST_SOCKETS, type NetworkNamespace } from "./network-namespace.ts"

/** `struct ifreq` of netdevice(7): an interface name, and the value to set or to read. */
const INTERFACE_REQUEST_BYTES = 40
const NAME_BYTES = 16
/** SIOCGIFINDEX. */
const GET_INTERFACE_INDEX = 0x8933

/** Spare sockets of one kind. */
interface Pool {
  readonly family: number
  readonly type: number
  readonly protocol: number
  readonly descriptors: Int32Array
  count: number
  /** How many sockets the next request opens. */
  next: number
}

/** Opens sockets inside, non-blocking and closed on exec. */
export class NamespaceSockets {
  readonly #native: Native
  readonly #arena: Arena
  readonly #namespace: NetworkNamespace
  readonly #made: number
  readonly #pools: Pool[] = []

  constructor(native: Native, arena: Arena, namespace: NetworkNamespace) {
    this.#native = native
    this.#arena = arena
    this.#made = arena.reserve(MOST_SOCKETS * 4, 8, "the sockets of a namespace")
    this.#namespace = namespace
  }

  /** Returns an unbound socket, or a negated errno. */
  open(family: number, type: number, protocol: number): number {
    const pool = this.#poolOf(family, type, protocol)
    if (pool.count === 0) {
      let result = this.#fill(pool)
      // Spare sockets of other kinds give way to one that is needed now.
      if (isShortage(-result) && this.#closeWaiting() > 0) result = this.#fill(pool)
      if (result < 0) return result
    }
    pool.count--
    return pool.descriptors[pool.count]
  }

  /** Index of an interface inside, by its name; 0 if there is none, or the request fails. */
  interfaceIndex(name: string): number {
    const bytes = new TextEncoder().encode(name)
    const socket = bytes.length < NAME_BYTES ? this.open(AddressFamily.ipv4, SocketType.datagram, 0) : -1
    if (socket < 0) return 0
    const request = this.#arena.reserve(INTERFACE_REQUEST_BYTES, 8, "the sockets of a namespace")
    this.#arena.bytes.set(bytes, request)
    const result = this.#native.ioctl(socket, GET_INTERFACE_INDEX, request)
    this.#native.close(socket)
    return result < 0 ? 0 : this.#arena.view.getInt32(request + NAME_BYTES, true)
  }

  /** Binds a socket to an address in the arena, also to a port below 1024. Returns 0, or a negated errno. */
  bind(descriptor: number, addressOffset: number, length: number): number {
    return this.#namespace.bind(descriptor, addressOffset, length)
  }

  /** Closes the spare sockets. */
  close(): void {
    this.#closeWaiting()
  }

  #fill(pool: Pool): number {
    const { family, type, protocol, next } = pool
    const made = this.#namespace.sockets(family, type, protocol, this.#made, next)
    if (made < 0) {
      pool.next = 1
      return made
    }
    for (let index = 0; index < made; index++) {
      pool.descriptors[index] = this.#arena.view.getInt32(this.#made + index * 4, true)
    }
    pool.count = made
    if (made < next) this.#giveBack(pool)
    else pool.next = Math.min(next * 2, MOST_SOCKETS)
    return made
  }

  /**
   * The request could open no more. Keeps one socket, and closes the others: their descriptors may be needed elsewhere.
   */
  #giveBack(pool: Pool): void {
    while (pool.count > 1) this.#native.close(pool.descriptors[--pool.count])
    pool.next = 1
  }

  #closeWaiting(): number {
    let closed = 0
    for (const pool of this.#pools) {
      for (; pool.count > 0; closed++) this.#native.close(pool.descriptors[--pool.count])
      pool.next = 1
    }
    return closed
  }

  #poolOf(family: number, type: number, protocol: number): Pool {
    for (const pool of this.#pools) {
      if (pool.family === family && pool.type === type && pool.protocol === protocol) return pool
    }
    const pool = { family, type, protocol, descriptors: new Int32Array(MOST_SOCKETS), count: 0, next: 1 }
    this.#pools.push(pool)
    return pool
  }
}
