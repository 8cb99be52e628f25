import { type Address, type Components, Demiflow, type DropReason, ICMP_CHECKSUM, IpProtocol } from "@demiflow/core"
import { ALL_NODES } from "./groups.ts"
import { encodeRouterAdvertisement, type RouterAdvertisement } from "./router-advertisement.ts"
import { HOP_LIMIT, OPTION_HEADER, ROUTER_OPTIONS } from "./wire.ts"

/** RFC 4861, section 10: advertisements at the start, and milliseconds between them at most. */
const INITIAL_ADVERTISEMENTS = 3
const INITIAL_INTERVAL = 16_000
/** RFC 4861, section 6.2.1: MaxRtrAdvInterval, and MinRtrAdvInterval as a third of it, in milliseconds. */
const LONGEST_INTERVAL = 600_000
const SHORTEST_INTERVAL = 200_000
/** Where our Ethernet address is, in the first option. */
const ROUTER_LINK_LAYER = ROUTER_OPTIONS + OPTION_HEADER

/** Advertises us as a router (RFC 4861, section 6.2): when asked, and unasked from `start` to `stop`. */
export class Router {
  readonly #components: Components
  readonly #noRoom: DropReason
  /** Says the same each time but for our Ethernet address, which may be a neighbour's of the host, and the checksum. */
  readonly #advertisement: Uint8Array
  readonly #side = new Demiflow()
  #sentUnsolicited = 0

  /** @param noRoom counted for what can't be sent */
  constructor(components: Components, advertisement: RouterAdvertisement, noRoom: DropReason) {
    this.#components = components
    this.#noRoom = noRoom
    this.#advertisement = encodeRouterAdvertisement(advertisement, components.guest.ourMac)
  }

  /** A guest has come. */
  start(): void {
    this.#sentUnsolicited = 0
    this.advertiseUnsolicited()
  }

  /** The guest has gone: nothing wakes us any more. */
  stop(): void {
    this.#components.wakeAt(Number.POSITIVE_INFINITY)
  }

  /** Sends an advertisement to all nodes, and sees to the next one (section 6.2.4). */
  advertiseUnsolicited(): void {
    const { clock, random, wakeAt } = this.#components
    this.#advertise(ALL_NODES)
    this.#sentUnsolicited++
    const share = (random.int32() >>> 0) / 2 ** 32
    const interval = Math.round(SHORTEST_INTERVAL + share * (LONGEST_INTERVAL - SHORTEST_INTERVAL))
    const isInitial = this.#sentUnsolicited < INITIAL_ADVERTISEMENTS
    wakeAt(clock.now + (isInitial ? Math.min(interval, INITIAL_INTERVAL) : interval))
  }

  /** Answers a solicitation from this address (section 6.2.6). */
  answer(source: Address): void {
    this.#components.log.info("NDP: received RS, sending RA")
    this.#advertise(source.isUnspecified ? ALL_NODES : source)
  }

  #advertise(to: Address): void {
    const { arena, drops, guest } = this.#components
    const advertisement = this.#advertisement
    this.#side.forwardingAddress.copyFrom(guest.ourLinkLocal)
    this.#side.correspondentAddress.copyFrom(to)
    const offset = guest.begin(this.#side, IpProtocol.icmpv6, advertisement.length, HOP_LIMIT)
    if (offset < 0) {
      drops.count(this.#noRoom)
      return
    }
    arena.bytes.set(advertisement, offset)
    guest.hostNeighbours.macOf(guest.ourLinkLocal).write(arena.view, offset + ROUTER_LINK_LAYER)
    guest.end(offset, advertisement.length, ICMP_CHECKSUM)
  }
}
