/**
 * Watches the host's neighbours on an interface: lists all at the start, then follows the kernel's reports of changes.
 *
 * Reports that don't fit in the socket's buffer are lost, and the kernel signals the first loss (ENOBUFS), and further
 * ones only after the buffer was empty. So all neighbours are listed again once it is empty, at most once a second. The
 * kernel doesn't report neighbours that it forgets: see the theory of operation in `@demiflow/tap`.
 *
 * Both sockets are opened at the start, so that nothing has to be opened later, when privileges may be gone.
 */
import { type Address, type Arena, Errno, type MacAddress } from "@demiflow/core"
import { EpollEvent } from "../constants.ts"
import { SystemError } from "../errno.ts"
import type { EventLoop } from "../event-loop.ts"
import type { NetworkNamespace } from "../namespace/network-namespace.ts"
import type { Native } from "../native.ts"
import { MessageType, NetlinkGroup } from "./constants.ts"
import { parseLink, writeLinkQuery } from "./links.ts"
import { type NeighbourInterfaces, parseNeighbour, writeNeighbourQuery } from "./neighbours.ts"
import { NetlinkSocket } from "./socket.ts"

/** Reports handled at once. The rest waits for the next round of the loop. */
const MOST_REPORTS = 64
/** How many times that at most after a loss, to empty the buffer. */
const MOST_BATCHES = 64
/** Minimum milliseconds between two lists of all neighbours. */
const BETWEEN_LISTS = 1_000

/** Names of the interfaces whose neighbours are reported, for each version of IP; undefined: none. */
export interface WatchedInterfaces {
  readonly v4: string | undefined
  readonly v6: string | undefined
}

/** Receives a neighbour and its Ethernet address. Also called for neighbours that are known already. */
export type NeighbourCallback = (address: Address, macAddress: MacAddress) => void

/** Reports the neighbours that a network namespace has. */
export class NeighbourWatch {
  readonly #loop: EventLoop
  readonly #interfaces: NeighbourInterfaces
  readonly #onNeighbour: NeighbourCallback
  readonly #questions: NetlinkSocket
  readonly #reports: NetlinkSocket
  readonly #descriptor: number
  #timer: NodeJS.Timeout | undefined
  #listedAt = Number.NEGATIVE_INFINITY
  /** True if reports were lost, and others still wait. */
  #hasLost = false

  /**
   * Reports all neighbours known to the kernel before it returns. Throws {@link SystemError}.
   *
   * @param namespace this process's own if absent
   */
  constructor(
    native: Native,
    arena: Arena,
    loop: EventLoop,
    names: WatchedInterfaces,
    onNeighbour: NeighbourCallback,
    namespace?: NetworkNamespace,
  ) {
    this.#loop = loop
    this.#onNeighbour = onNeighbour
    this.#questions = new NetlinkSocket(native, arena, namespace)
    const links = this.#questions.list("list network interfaces", MessageType.getLink, writeLinkQuery, parseLink)
    const indexOf = (wanted: string | undefined) => links.find(({ name }) => name === wanted)?.index
    this.#interfaces = { v4: indexOf(names.v4), v6: indexOf(names.v6) }
    this.#reports = new NetlinkSocket(native, arena, namespace)
    this.#descriptor = this.#reports.join(NetlinkGroup.neighbours)
    loop.watchDescriptor(this.#descriptor, EpollEvent.readable, () => this.#read())
    this.#list()
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#loop.unwatch(this.#descriptor)
    this.#questions.close()
    this.#reports.close()
  }

  #read(): void {
    let result = this.#takeReports()
    if (result === -Errno.ENOBUFS) this.#hasLost = true
    // A socket that can't be read would keep waking the loop.
    else if (result < 0) this.#loop.unwatch(this.#descriptor)
    if (!this.#hasLost) return
    // An empty buffer causes no event. It holds some hundred reports.
    for (let left = MOST_BATCHES; left > 0 && result === MOST_REPORTS; left--) result = this.#takeReports()
    if (result < 0 || result === MOST_REPORTS) return
    this.#hasLost = false
    this.#listSoon()
  }

  #takeReports(): number {
    return this.#reports.readNotices(MOST_REPORTS, (view, message) => {
      const neighbour = parseNeighbour(view, message, this.#interfaces)
      if (neighbour !== undefined) this.#onNeighbour(neighbour.address, neighbour.macAddress)
    })
  }

  #listSoon(): void {
    const wait = this.#listedAt + BETWEEN_LISTS - this.#loop.clock.now
    if (wait <= 0) this.#list()
    else this.#timer ??= setTimeout(() => this.#list(), wait).unref()
  }

  #list(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#listedAt = this.#loop.clock.now
    this.#listOf(true, this.#interfaces.v4)
    this.#listOf(false, this.#interfaces.v6)
  }

  #listOf(isV4: boolean, index: number | undefined): void {
    if (index === undefined) return
    try {
      this.#questions.dump(
        "list neighbours",
        MessageType.getNeighbour,
        (writer) => writeNeighbourQuery(writer, isV4, index),
        (view, message) => {
          const neighbour = parseNeighbour(view, message, this.#interfaces)
          if (neighbour !== undefined) this.#onNeighbour(neighbour.address, neighbour.macAddress)
        },
      )
    } catch (error) {
      // This host lacks that IP version, or the interface is gone. Changes are still reported.
      if (!(error instanceof SystemError)) throw error
    }
  }
}
