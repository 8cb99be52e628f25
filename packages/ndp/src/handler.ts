/**
 * Neighbour discovery for the guest: theory of operation.
 *
 * Neighbours. Whatever IPv6 address the guest looks for on its link, it is found: at the Ethernet address that a neighbour
 * of the host has, if it is that of one, else at ours, as for IPv4 with ARP. When a neighbour of the host shows another
 * Ethernet address than before, that is advertised to all nodes (RFC 4861, section 7.2.6). The exception is what belongs to
 * the guest itself: the address it was assigned, and any other that it uses, which may be on several stations behind the
 * link. The guest's own addresses show as source of its messages, and as target of its advertisements and of its duplicate
 * address detection: they are announced to the neighbour table, which remembers each for five minutes, and finds the
 * stations of packets by them. An advertisement moves an address from one station to another if it comes from the address
 * itself and overrides (RFC 4861, section 7.2.5); a detection moves none. For addresses that are ours in earnest (our
 * link-local one, the gateway's), and for neighbours of the host, our advertisement overrides what the guest knew; for all
 * others we are a proxy (RFC 4861, section 7.2.8), and our advertisement doesn't.
 *
 * Duplicate address detection (RFC 4862, section 5.4) asks from the unspecified address. It is answered for the addresses
 * that are ours in earnest only: any other may be the guest's.
 *
 * Routers. A router solicitation is answered at once, to its source or, if that is unspecified, to all nodes: the random
 * delay of RFC 4861, section 6.2.6, is there to keep several routers from speaking together, and we are the only one.
 * Unsolicited advertisements go to all nodes: three when a guest comes, up to 16 s apart, then at random between 200 and
 * 600 s (section 6.2.4), until it goes. They come from our link-local address, as guests accept no other (section 6.1.2),
 * and say the same each time, so that the bytes are made once.
 *
 * The neighbour table has us solicit addresses whose station isn't known, or wasn't heard for a while.
 *
 * A guest that was there before us, or before we were reconnected, may have nothing to say until somebody speaks to it. So
 * that we know its Ethernet address by then, we can ask for its assigned address when we start.
 *
 * Messages are checked as sections 6.1.1, 7.1.1 and 7.1.2 want: hop limit 255, checksum, code, lengths, options, and which
 * addresses and options go together.
 *
 * ICMPv6 is shared with other handlers: what is neighbour discovery is taken out of a sequence, and what is left goes on to
 * the next. So register this plugin before the one for ICMP.
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
  ICMP_TYPE,
  IpProtocol,
  type MacAddress,
  NOT_MINE,
  type ProtocolHandler,
  type Sequence,
  transportChecksumIsRight,
} from "@demiflow/core"
import { ALL_NODES, isSolicitedNode, solicitedNode } from "./groups.ts"
import {
  isNdp,
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

/** What the plugin has to know of the link. */
export interface NdpOptions {
  /** The address assigned to the guest: never answered for. */
  readonly guestAddress?: Address | undefined
  /** Addresses that are ours on the link besides our link-local one, such as the gateway's: defended. */
  readonly ourAddresses?: readonly Address[]
  /** True to ask for the assigned address at the start, so that the guest's Ethernet address is known. False if not given. */
  readonly looksForGuest?: boolean
  /** What router advertisements say; undefined: none are sent. */
  readonly routerAdvertisement?: RouterAdvertisement | undefined
}

/** What can be wrong besides the form: with the packet around the message. */
type NdpProblem = NdpMalformation | "hop limit" | "checksum" | "address" | "no room"

/** Neighbour discovery, set up on a stack. */
export class NdpHandler implements ProtocolHandler {
  readonly name = "ndp"
  readonly claims: readonly Claim[] = [{ ipProtocol: IpProtocol.icmpv6 }]
  readonly #components: Components
  readonly #guestAddress: Address | undefined
  readonly #ourAddresses: readonly Address[]
  /** The address to ask for at the start. */
  readonly #lookedFor: Address | undefined
  readonly #router: Router | undefined
  readonly #reasons: Readonly<Record<NdpProblem, DropReason>>
  readonly #side = new Demiflow()
  /** Of questions, which sending anything else may cause. */
  readonly #question = new Demiflow()
  readonly #unasked = new Demiflow()
  #hasWarned = false

  constructor(components: Components, options: NdpOptions) {
    const { guestAddress, ourAddresses = [], looksForGuest = false, routerAdvertisement } = options
    const { guest, drops } = components
    this.#components = components
    this.#guestAddress = guestAddress?.clone()
    this.#ourAddresses = [guest.ourLinkLocal, ...ourAddresses].map((address) => address.clone())
    this.#lookedFor = looksForGuest ? guestAddress?.clone() : undefined
    this.#reasons = {
      truncated: drops.reason("ndp: truncated"),
      code: drops.reason("ndp: code"),
      "option length": drops.reason("ndp: option length"),
      target: drops.reason("ndp: target"),
      "message type": drops.reason("ndp: message type"),
      "hop limit": drops.reason("ndp: hop limit"),
      checksum: drops.reason("ndp: checksum"),
      address: drops.reason("ndp: address"),
      "no room": drops.reason("ndp: no room"),
    }
    this.#router = routerAdvertisement && new Router(components, routerAdvertisement, this.#reasons["no room"])
    guest.neighbours.askWith(false, (address, station) => this.#ask(address, station))
    guest.hostNeighbours.announceWith(false, (address) => this.#announce(address))
  }

  start(): void {
    this.#hasWarned = false
    this.#router?.start()
    this.#lookForGuest()
  }

  /** The guest may be another one, and is the sooner known for it. */
  reconnected(): void {
    if (this.#lookedFor !== undefined) this.#ask(this.#lookedFor, undefined)
  }

  stop(): void {
    this.#router?.stop()
  }

  tick(): void {
    this.#router?.advertiseUnsolicited()
  }

  fromTap(sequence: Sequence): Disposition {
    if (sequence.demiflow.isV4) return NOT_MINE
    let left = 0
    for (let index = 0; index < sequence.count; index++) {
      if (!this.#isMine(sequence, index)) {
        moveEntry(sequence, index, left++)
        continue
      }
      const problem = this.#handle(sequence, index)
      if (problem !== undefined) this.#components.drops.count(this.#reasons[problem])
    }
    sequence.count = left
    return left === 0 ? HANDLED : NOT_MINE
  }

  #isMine(sequence: Sequence, index: number): boolean {
    const offset = sequence.transportOffset[index]
    // Too short for any ICMPv6 message: the handler for all of ICMPv6 has a name for that.
    if (sequence.endOffset[index] - offset < ICMP_HEADER_LENGTH) return false
    return isNdp(this.#components.arena.view.getUint8(offset + ICMP_TYPE))
  }

  #handle(sequence: Sequence, index: number): NdpProblem | undefined {
    const { arena } = this.#components
    if (sequence.hopLimit[index] !== HOP_LIMIT) return "hop limit"
    if (sequence.checksumTrusted[index] === 0 && !transportChecksumIsRight(arena, sequence, index)) return "checksum"
    const message = parseNdp(arena.view, sequence.transportOffset[index], sequence.endOffset[index])
    const { correspondentAddress: source, forwardingAddress: destination } = sequence.demiflow
    switch (message.kind) {
      case "malformed":
        return message.reason
      case "routerSolicitation":
        if (source.isUnspecified && message.linkLayer !== undefined) return "address"
        if (!source.isUnspecified) this.#noticeGuest(source, stationOf(message, sequence), true)
        this.#router?.answer(source)
        return undefined
      case "neighbourSolicitation":
        if (source.isUnspecified && (message.linkLayer !== undefined || !isSolicitedNode(destination))) return "address"
        return this.#answerNeighbourSolicitation(source, message.target, stationOf(message, sequence))
      case "neighbourAdvertisement":
        // An advertisement to a group can't be one that was solicited.
        if (destination.isMulticast && (message.flags & NeighbourFlag.solicited) !== 0) return "address"
        this.#noticeGuest(
          message.target,
          stationOf(message, sequence),
          (message.flags & NeighbourFlag.override) !== 0 && source.equals(message.target),
        )
        return undefined
    }
  }

  #answerNeighbourSolicitation(source: Address, target: Address, station: MacAddress): NdpProblem | undefined {
    const { guest } = this.#components
    const isOurs = this.#isOurs(target)
    const isDetection = source.isUnspecified
    if (!isDetection) this.#noticeGuest(source, station, true)
    if (!isOurs) {
      if (isDetection) this.#noticeGuest(target, station, false)
      if (!target.isUnicast || target.isLoopback || this.#isGuests(target)) return undefined
    }
    this.#side.forwardingAddress.copyFrom(isOurs ? target : guest.ourLinkLocal)
    this.#side.correspondentAddress.copyFrom(isDetection ? ALL_NODES : source)
    const isAuthoritative = isOurs || guest.hostNeighbours.has(target)
    const flags = (isDetection ? 0 : NeighbourFlag.solicited) | (isAuthoritative ? NeighbourFlag.override : 0)
    return this.#advertise(this.#side, target, flags)
  }

  #isGuests(address: Address): boolean {
    return this.#guestAddress?.equals(address) || this.#components.guest.neighbours.isAnnounced(address)
  }

  #advertise(side: Demiflow, target: Address, flags: number): "no room" | undefined {
    const { arena, guest, log } = this.#components
    const offset = guest.begin(side, IpProtocol.icmpv6, NEIGHBOUR_ADVERTISEMENT_LENGTH, HOP_LIMIT)
    if (offset < 0) return "no room"
    const mac = guest.hostNeighbours.macOf(target)
    writeNeighbourAdvertisement(arena.view, offset, target, NeighbourFlag.router | flags, mac)
    guest.end(offset, NEIGHBOUR_ADVERTISEMENT_LENGTH, ICMP_CHECKSUM)
    if (log.isTrace) log.trace(`NDP: told ${side.correspondentAddress} that ${target} is at ${mac}`)
    return undefined
  }

  /** Tells everybody at which Ethernet address a neighbour of the host is now. */
  #announce(address: Address): void {
    const { drops, guest } = this.#components
    if (this.#isGuests(address)) return
    this.#unasked.forwardingAddress.copyFrom(guest.ourLinkLocal)
    this.#unasked.correspondentAddress.copyFrom(ALL_NODES)
    const problem = this.#advertise(this.#unasked, address, NeighbourFlag.override)
    if (problem !== undefined) drops.count(this.#reasons[problem])
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

  #lookForGuest(): void {
    if (this.#lookedFor !== undefined && this.#components.guest.guestMac.isBroadcast)
      this.#ask(this.#lookedFor, undefined)
  }

  /** Solicits the address: of the station, or of everybody (RFC 4861, section 7.2.2). */
  #ask(address: Address, station: MacAddress | undefined): void {
    const { arena, drops, guest } = this.#components
    const question = this.#question
    question.forwardingAddress.copyFrom(guest.ourLinkLocal)
    question.correspondentAddress.copyFrom(station === undefined ? solicitedNode(address) : address)
    const offset = guest.begin(question, IpProtocol.icmpv6, NEIGHBOUR_SOLICITATION_LENGTH, HOP_LIMIT, station)
    if (offset < 0) {
      drops.count(this.#reasons["no room"])
      return
    }
    writeNeighbourSolicitation(arena.view, offset, address, guest.hostNeighbours.macOf(guest.ourLinkLocal))
    guest.end(offset, NEIGHBOUR_SOLICITATION_LENGTH, ICMP_CHECKSUM)
  }
}

/** The station that a message speaks of: the one in its option, else the one that sent it. */
function stationOf({ linkLayer }: { linkLayer: MacAddress | undefined }, { sourceMac }: Sequence): MacAddress {
  return linkLayer === undefined || linkLayer.isMulticast || linkLayer.isZero ? sourceMac : linkLayer
}

/** Moves one packet's entry to a lower place. */
function moveEntry(sequence: Sequence, from: number, to: number): void {
  if (from === to) return
  sequence.networkOffset[to] = sequence.networkOffset[from]
  sequence.transportOffset[to] = sequence.transportOffset[from]
  sequence.endOffset[to] = sequence.endOffset[from]
  sequence.segmentSize[to] = sequence.segmentSize[from]
  sequence.hopLimit[to] = sequence.hopLimit[from]
  sequence.trafficClass[to] = sequence.trafficClass[from]
  sequence.dontFragment[to] = sequence.dontFragment[from]
  sequence.checksumTrusted[to] = sequence.checksumTrusted[from]
}
