/**
 * Neighbour discovery for the guest: theory of operation.
 *
 * Neighbours. Every IPv6 address that the guest solicits on its link is answered, as ARP does for IPv4: with the
 * Ethernet address of a neighbour of the host where the address is that neighbour's, else with ours. When a neighbour
 * of the host changes its Ethernet address, we advertise that to all nodes (RFC 4861, section 7.2.6).
 *
 * The exception is the guest's own addresses: the assigned one, and any other that the guest uses. They may be on
 * several stations behind the link. The guest's own addresses appear as source of its messages, and as target of its
 * advertisements and of its duplicate address detection. They are announced to the neighbour table, which keeps each
 * for five minutes and uses them to find the station for a packet. An advertisement moves an address from one station
 * to another if it comes from the address itself and has the override flag (RFC 4861, section 7.2.5); duplicate address
 * detection moves none.
 *
 * For addresses that are really ours (our link-local one, the gateway's), and for neighbours of the host, our
 * advertisement overrides what the guest has cached. For all others we are a proxy (RFC 4861, section 7.2.8), and it
 * doesn't.
 *
 * Duplicate address detection (RFC 4862, section 5.4) solicits from the unspecified address. It is answered only for
 * addresses that are really ours: any other may be the guest's.
 *
 * Routers. A router solicitation is answered at once, to its source or, if that is unspecified, to all nodes. The
 * random delay of RFC 4861, section 6.2.6, keeps several routers from answering together, and we are the only one.
 * Unsolicited advertisements go to all nodes: three when a guest comes, up to 16 s apart, then at random intervals
 * between 200 and 600 s (section 6.2.4), until the guest goes. They come from our link-local address, as guests accept
 * no other (section 6.1.2). Their contents don't change, so the bytes are made once.
 *
 * The neighbour table has us solicit addresses whose station is unknown, or was silent for a while.
 *
 * A guest that was there before us, or before we were reconnected, may stay silent until somebody speaks to it. To know
 * its Ethernet address by then, we can solicit its assigned address at the start.
 *
 * Messages are checked as sections 6.1.1, 7.1.1 and 7.1.2 require: hop limit 255, checksum, code, lengths, options, and
 * which addresses and options go together.
 *
 * ICMPv6 is shared with other handlers: this one claims the message types of neighbour discovery.
 *
 * Not done: redirects and advertisements by routers behind the guest's end (dropped and counted), secure neighbour
 * discovery (RFC 3971), route information (RFC 4191; the default router preference is medium).
 *
 * RFC 4861, 4862, 8106, 8319.
 */
import {
  type Address,
  type Claim,
  type Components,
  Demiflow,
  type Disposition,
  type DropReason,
  HANDLED,
  ICMP_CHECKSUM,
  ICMP_HEADER_LENGTH,
  IpProtocol,
  type MacAddress,
  NOT_MINE,
  type ProtocolHandler,
  type Sequence,
  transportChecksumIsRight,
} from "@demiflow/core"
import { ALL_NODES, isSolicitedNode, solicitedNode } from "./groups.ts"
import {
  NDP_MESSAGE_TYPES,
  type NdpMalformation,
  NEIGHBOUR_ADVERTISEMENT_LENGTH,
  NEIGHBOUR_SOLICITATION_LENGTH,
  parseNdp,
  writeNeighbourAdvertisement,
  writeNeighbourSolicitation,
} from "./packet.ts"
import { Router } from "./router.ts"
import type { RouterAdvertisement } from "./router-advertisement.ts"
import { HOP_LIMIT, NeighbourFlag } from "./wire.ts"

/** Options of the neighbour discovery plugin. */
export interface NdpOptions {
  /** The address assigned to the guest: the plugin never answers for it. */
  readonly guestAddress?: Address | undefined
  /** Our addresses on the link besides the link-local one, such as the gateway's: the plugin defends them. */
  readonly ourAddresses?: readonly Address[]
  /**
   * True to solicit the assigned address at the start, so that the guest's Ethernet address is known. False by default.
   */
  readonly asksForGuest?: boolean
  /** The contents of router advertisements; undefined: none are sent. */
  readonly routerAdvertisement?: RouterAdvertisement | undefined
}

/** Malformed messages, and problems of the packet around a message. */
type NdpProblem = NdpMalformation | "hop limit" | "checksum" | "address"

/** Neighbour discovery, set up on a stack. */
export class NdpHandler implements ProtocolHandler {
  readonly name = "ndp"
  readonly claims: readonly Claim[] = [{ ipProtocol: IpProtocol.icmpv6, messageTypes: NDP_MESSAGE_TYPES }]
  readonly #components: Components
  readonly #guestAddress: Address | undefined
  readonly #ourAddresses: readonly Address[]
  /** The address to ask for at the start. */
  readonly #askedAtStart: Address | undefined
  readonly #router: Router | undefined
  readonly #reasons: Readonly<Record<NdpProblem, DropReason>>
  readonly #side = new Demiflow()
  /** The side of solicitations. Not `#side`: sending any other packet may cause a solicitation. */
  readonly #question = new Demiflow()
  readonly #unasked = new Demiflow()
  #hasWarned = false

  constructor(components: Components, options: NdpOptions) {
    const { guestAddress, ourAddresses = [], asksForGuest = false, routerAdvertisement } = options
    const { guest, drops } = components
    this.#components = components
    this.#guestAddress = guestAddress?.clone()
    this.#ourAddresses = [guest.ourLinkLocal, ...ourAddresses].map((address) => address.clone())
    this.#askedAtStart = asksForGuest ? guestAddress?.clone() : undefined
    this.#reasons = {
      truncated: drops.reason("ndp: truncated"),
      code: drops.reason("ndp: code"),
      "option length": drops.reason("ndp: option length"),
      target: drops.reason("ndp: target"),
      "message type": drops.reason("ndp: message type"),
      "hop limit": drops.reason("ndp: hop limit"),
      checksum: drops.reason("ndp: checksum"),
      address: drops.reason("ndp: address"),
    }
    this.#router = routerAdvertisement && new Router(components, routerAdvertisement)
    guest.neighbours.askWith(false, (address, station) => this.#ask(address, station))
    guest.hostNeighbours.announceWith(false, (address) => this.#announce(address))
  }

  start(): void {
    this.#hasWarned = false
    this.#router?.start()
    this.#askForGuest()
  }

  /** Solicits even if an Ethernet address is known: the guest may be another one now. */
  reconnected(): void {
    if (this.#askedAtStart !== undefined) this.#ask(this.#askedAtStart, undefined)
  }

  stop(): void {
    this.#router?.stop()
  }

  tick(): void {
    this.#router?.advertiseUnsolicited()
  }

  fromGuest(sequence: Sequence): Disposition {
    // Too short for any ICMPv6 message: left to the handler for all of ICMPv6, which counts it.
    const isShort = sequence.endOffset[0] - sequence.transportOffset[0] < ICMP_HEADER_LENGTH
    if (sequence.demiflow.isV4 || isShort) return NOT_MINE
    // A packet without ports is alone in its sequence.
    const problem = this.#handle(sequence, 0)
    if (problem !== undefined) this.#components.drops.count(this.#reasons[problem])
    return HANDLED
  }

  #handle(sequence: Sequence, index: number): NdpProblem | undefined {
    const { arena } = this.#components
    // RFC 4861 6.1.1 (hop-limit) MUST: a router solicitation whose hop limit is not 255 came from another link: discard
    // RFC 4861 7.1.1 (hop-limit) MUST: the same for a neighbour solicitation
    // RFC 4861 7.1.2 (hop-limit) MUST: the same for a neighbour advertisement
    if (sequence.hopLimit[index] !== HOP_LIMIT) return "hop limit"
    // RFC 4861 7.1.1 (checksum) MUST: discard a message whose checksum is wrong
    if (sequence.checksumTrusted[index] === 0 && !transportChecksumIsRight(arena, sequence, index)) return "checksum"
    const message = parseNdp(arena.view, sequence.transportOffset[index], sequence.endOffset[index])
    const { correspondentAddress: source, forwardingAddress: destination } = sequence.demiflow
    switch (message.kind) {
      case "malformed":
        return message.reason
      case "routerSolicitation":
        // RFC 4861 6.1.1 (source) MUST: a solicitation from the unspecified address has no source link-layer option
        if (source.isUnspecified && message.linkLayer !== undefined) return "address"
        if (!source.isUnspecified) this.#noticeGuest(source, stationOf(message, sequence), true)
        this.#router?.answer(source)
        return undefined
      case "neighbourSolicitation":
        // RFC 4861 7.1.1 (source) MUST: a solicitation from the unspecified address goes to a solicited-node group, and
        //   has no source link-layer option
        if (source.isUnspecified && (message.linkLayer !== undefined || !isSolicitedNode(destination))) return "address"
        return this.#answerNeighbourSolicitation(source, message.target, stationOf(message, sequence))
      case "neighbourAdvertisement":
        // An advertisement to a group can't be solicited.
        // RFC 4861 7.1.2 (solicited) MUST: an advertisement to a group does not have the solicited flag
        if (destination.isMulticast && (message.flags & NeighbourFlag.solicited) !== 0) return "address"
        this.#noticeGuest(
          message.target,
          stationOf(message, sequence),
          // RFC 4861 7.2.5 MUST: an advertisement without the override flag does not replace a known link-layer address
          (message.flags & NeighbourFlag.override) !== 0 && source.equals(message.target),
        )
        return undefined
    }
  }

  #answerNeighbourSolicitation(source: Address, target: Address, station: MacAddress): NdpProblem | undefined {
    const { guest } = this.#components
    const isOurs = this.#isOurs(target)
    const isDetection = source.isUnspecified
    // RFC 4861 7.2.3 SHOULD: a solicitation with a source address updates what is known of that neighbour
    if (!isDetection) this.#noticeGuest(source, station, true)
    if (!isOurs) {
      if (isDetection) this.#noticeGuest(target, station, false)
      if (!target.isUnicast || target.isLoopback || this.#isGuests(target)) return undefined
    }
    this.#side.forwardingAddress.copyFrom(isOurs ? target : guest.ourLinkLocal)
    // RFC 4861 7.2.4 (destination) MUST: an answer to the unspecified address goes to all nodes, any other to the
    //   source
    this.#side.correspondentAddress.copyFrom(isDetection ? ALL_NODES : source)
    // RFC 4861 7.2.8 MUST: an advertisement for an address that we only stand for does not override
    const isAuthoritative = isOurs || guest.hostNeighbours.has(target)
    // RFC 4861 7.2.4 (solicited) MUST: the solicited flag is set, except in an answer to the unspecified address
    const flags = (isDetection ? 0 : NeighbourFlag.solicited) | (isAuthoritative ? NeighbourFlag.override : 0)
    this.#advertise(this.#side, target, flags)
    return undefined
  }

  #isGuests(address: Address): boolean {
    return this.#guestAddress?.equals(address) || this.#components.guest.neighbours.isAnnounced(address)
  }

  #advertise(side: Demiflow, target: Address, flags: number): void {
    const { arena, guest, log } = this.#components
    // RFC 4861 7.2.4 (link-layer) MUST: an answer to a multicast solicitation has the target link-layer option
    const offset = guest.begin(side, IpProtocol.icmpv6, NEIGHBOUR_ADVERTISEMENT_LENGTH, HOP_LIMIT)
    if (offset < 0) return
    const mac = guest.hostNeighbours.macOf(target)
    writeNeighbourAdvertisement(arena.view, offset, target, NeighbourFlag.router | flags, mac)
    guest.end(offset, NEIGHBOUR_ADVERTISEMENT_LENGTH, ICMP_CHECKSUM)
    if (log.isTrace) log.trace(`NDP: sending NA to ${side.correspondentAddress}: ${target} is at ${mac}`)
  }

  /** Advertises the new Ethernet address of a neighbour of the host to all nodes. */
  #announce(address: Address): void {
    const { guest } = this.#components
    if (this.#isGuests(address)) return
    this.#unasked.forwardingAddress.copyFrom(guest.ourLinkLocal)
    // RFC 4861 7.2.6 MAY: a changed link-layer address is advertised to all nodes, unsolicited
    this.#unasked.correspondentAddress.copyFrom(ALL_NODES)
    this.#advertise(this.#unasked, address, NeighbourFlag.override)
  }

  #noticeGuest(address: Address, station: MacAddress, mayMove: boolean): void {
    const { guest, log } = this.#components
    if (!address.isUnicast || address.isLoopback) return
    if (!this.#isOurs(address)) {
      guest.neighbours.announce(address, station, mayMove)
      return
    }
    if (this.#hasWarned) return
    this.#hasWarned = true
    log.warning(`NDP: the guest uses ${address}, which is ours towards the guest: give the guest another address`)
  }

  #isOurs(address: Address): boolean {
    for (const ours of this.#ourAddresses) if (ours.equals(address)) return true
    return false
  }

  #askForGuest(): void {
    if (this.#askedAtStart !== undefined && this.#components.guest.guestMac.isBroadcast)
      this.#ask(this.#askedAtStart, undefined)
  }

  /** Solicits the address: from its station, or from everybody (RFC 4861, section 7.2.2). */
  #ask(address: Address, station: MacAddress | undefined): void {
    const { arena, guest } = this.#components
    const question = this.#question
    question.forwardingAddress.copyFrom(guest.ourLinkLocal)
    // RFC 4861 7.2.2 MUST: address resolution solicits at the solicited-node group of the address
    question.correspondentAddress.copyFrom(station === undefined ? solicitedNode(address) : address)
    const offset = guest.begin(question, IpProtocol.icmpv6, NEIGHBOUR_SOLICITATION_LENGTH, HOP_LIMIT, station)
    if (offset < 0) return
    // RFC 4861 4.3 MUST: a multicast solicitation has the source link-layer option
    writeNeighbourSolicitation(arena.view, offset, address, guest.hostNeighbours.macOf(guest.ourLinkLocal))
    guest.end(offset, NEIGHBOUR_SOLICITATION_LENGTH, ICMP_CHECKSUM)
  }
}

/** Returns the station that a message is about: the one in its option, else the sender. */
function stationOf({ linkLayer }: { linkLayer: MacAddress | undefined }, { sourceMac }: Sequence): MacAddress {
  return linkLayer === undefined || linkLayer.isMulticast || linkLayer.isZero ? sourceMac : linkLayer
}
