import { type Address, type Components, Demiflow, ICMP_CHECKSUM, IpProtocol } from "@demiflow/core"
import { ALL_NODES } from "./groups.ts"
import { encodeRouterAdvertisement, type RouterAdvertisement } from "./router-advertisement.ts"
import { HOP_LIMIT, OPTION_HEADER, ROUTER_OPTIONS } from "./wire.ts"

/** RFC 4861, section 10: number of initial advertisements, and the longest interval between them, milliseconds. */
const INITIAL_ADVERTISEMENTS = 3
const INITIAL_INTERVAL = 16_000
/** RFC 4861, section 6.2.1: MaxRtrAdvInterval, and MinRtrAdvInterval as a third of it, in milliseconds. */
const LONGEST_INTERVAL = 600_000
const SHORTEST_INTERVAL = 200_000
/** Offset of our Ethernet address, in the first option. */
const ROUTER_LINK_LAYER = ROUTER_OPTIONS + OPTION_HEADER

/** Advertises us as a router (RFC 4861, section 6.2): when solicited, and unsolicited from `start` to `stop`. */
export class Router {
  readonly #components: Components
  /** Constant except the checksum and our Ethernet address, which may be that of a neighbour of the host. */
  readonly #advertisement: Uint8Array
  readonly #side = new Demiflow()
  #sentUnsolicited = 0

  constructor(components: Components, advertisement: RouterAdvertisement) {
    this.#components = components
    this.#advertisement = encodeRouterAdvertisement(advertisement, components.guest.ourMac)
  }

  /** Starts advertising: a guest has come. */
  start(): void {
    this.#sentUnsolicited = 0
    this.advertiseUnsolicited()
  }

  /** Stops the unsolicited advertisements: the guest has gone. */
  stop(): void {
    this.#components.wakeAt(Number.POSITIVE_INFINITY)
  }

  /** Sends an advertisement to all nodes, and schedules the next one (section 6.2.4). */
  advertiseUnsolicited(): void {
    const { clock, random, wakeAt } = this.#components
    this.#advertise(ALL_NODES)
    this.#sentUnsolicited++
    const share = (random.int32() >>> 0) / 2 ** 32
    // RFC 4861 6.2.4 (interval) MUST: the time until the next unsolicited advertisement is drawn between the two limits
    const interval = Math.round(SHORTEST_INTERVAL + share * (LONGEST_INTERVAL - SHORTEST_INTERVAL))
    // RFC 4861 6.2.4 (initial) SHOULD: the first three advertisements are at most 16 s apart
    const isInitial = this.#sentUnsolicited < INITIAL_ADVERTISEMENTS
    wakeAt(clock.now + (isInitial ? Math.min(interval, INITIAL_INTERVAL) : interval))
  }

  /** Answers a solicitation from this address (section 6.2.6). */
  answer(source: Address): void {
    this.#components.log.info("NDP: received RS, sending RA")
    // RFC 4861 6.2.6 MUST: a solicitation from the unspecified address is answered to all nodes
    this.#advertise(source.isUnspecified ? ALL_NODES : source)
  }

  #advertise(to: Address): void {
    const { arena, guest } = this.#components
    const advertisement = this.#advertisement
    // RFC 4861 4.2 (source) MUST: an advertisement comes from our link-local address
    this.#side.forwardingAddress.copyFrom(guest.ourLinkLocal)
    this.#side.correspondentAddress.copyFrom(to)
    // RFC 4861 4.2 (hop-limit) MUST: an advertisement has the hop limit 255
    const offset = guest.begin(this.#side, IpProtocol.icmpv6, advertisement.length, HOP_LIMIT)
    if (offset < 0) return
    arena.bytes.set(advertisement, offset)
    guest.hostNeighbours.macOf(guest.ourLinkLocal).write(arena.view, offset + ROUTER_LINK_LAYER)
    guest.end(offset, advertisement.length, ICMP_CHECKSUM)
  }
}
