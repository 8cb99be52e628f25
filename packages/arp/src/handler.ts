/**
 * ARP for the guest: theory of operation.
 *
 * Every IPv4 address that the guest asks for on its link is answered: with the Ethernet address of a neighbour of the
 * host where the address is that neighbour's, else with ours. So the gateway and every other address work, whatever the
 * guest's routes are. When a neighbour of the host changes its Ethernet address, we announce that (RFC 5227, section
 * 3), from our Ethernet address.
 *
 * The exception is the guest's own addresses: the assigned one, and any other that the guest uses. They may be on
 * several stations behind the link (containers bridged to it, say), which must find each other without us in between.
 * The guest's own addresses appear in the sender field of its packets. They are announced to the neighbour table, which
 * keeps each for five minutes and uses them to find the station for a packet.
 *
 * A station that is about to take an address sends a probe first (RFC 5227): a request without a sender address. An
 * answer means that the address is taken, so probes are answered only for addresses that really are ours, such as the
 * gateway's. Announcements, which ask for the sender's own address, are never answered. A station that announces one of
 * our addresses breaks its own traffic; we log a warning, once.
 *
 * Replies from the guest only show which addresses it has. Our reply goes to the station that the request names as
 * sender.
 *
 * The neighbour table has us ask for addresses whose station is unknown, or was silent for a while.
 *
 * A guest that was there before us, or before we were reconnected, may stay silent until somebody speaks to it. To know
 * its Ethernet address by then, we can ask for its assigned address at the start.
 *
 * Not done: RARP, other hardware than Ethernet.
 *
 * RFC 826, 5227.
 */
import {
  Address,
  type Claim,
  type Components,
  type Disposition,
  type DropReason,
  EtherType,
  HANDLED,
  MacAddress,
  type ProtocolHandler,
  type Sequence,
} from "@demiflow/core"
import { type ArpMalformation, type ArpPacket, readArp, writeArp } from "./packet.ts"
import { ARP_LENGTH, Operation } from "./wire.ts"

const BROADCAST = new MacAddress(0xffff, -1)

/** Options of the ARP plugin. */
export interface ArpOptions {
  /** The address assigned to the guest: the plugin never answers for it. */
  readonly guestAddress?: Address | undefined
  /** Our addresses on the link, such as the gateway's: the plugin defends them against the guest's probes. */
  readonly ourAddresses?: readonly Address[]
  /**
   * True to ask for the assigned address at the start, so that the guest's Ethernet address is known. The request comes
   * from the first of our addresses; without one, none is sent. False by default.
   */
  readonly asksForGuest?: boolean
}

/** ARP, set up on a stack. */
export class ArpHandler implements ProtocolHandler {
  readonly name = "arp"
  readonly claims: readonly Claim[] = [{ etherType: EtherType.arp }]
  readonly #components: Components
  readonly #guestAddress: Address | undefined
  readonly #ourAddresses: readonly Address[]
  readonly #reasons: Readonly<Record<ArpMalformation, DropReason>>
  readonly #packet: ArpPacket = {
    operation: 0,
    senderMac: new MacAddress(),
    senderAddress: new Address(),
    targetMac: new MacAddress(),
    targetAddress: new Address(),
  }
  /** The address to ask for at the start. */
  readonly #askedAtStart: Address | undefined
  #hasWarned = false

  constructor(components: Components, { guestAddress, ourAddresses = [], asksForGuest = false }: ArpOptions) {
    const { drops } = components
    this.#askedAtStart = asksForGuest ? guestAddress?.clone() : undefined
    this.#components = components
    this.#guestAddress = guestAddress?.clone()
    this.#ourAddresses = ourAddresses.map((address) => address.clone())
    this.#reasons = {
      truncated: drops.reason("arp: truncated"),
      "hardware type": drops.reason("arp: hardware type"),
      "protocol type": drops.reason("arp: protocol type"),
      operation: drops.reason("arp: operation"),
      sender: drops.reason("arp: sender"),
    }
    const { hostNeighbours, neighbours } = components.guest
    neighbours.askWith(true, (address, station) => this.#ask(address, station))
    hostNeighbours.announceWith(true, (address) => this.#announce(address))
  }

  start(): void {
    this.#hasWarned = false
    this.#askForGuest()
  }

  /** Asks even if an Ethernet address is known: the guest may be another one now. */
  reconnected(): void {
    if (this.#askedAtStart !== undefined) this.#ask(this.#askedAtStart, undefined)
  }

  fromGuest(sequence: Sequence): Disposition {
    const { arena, drops } = this.#components
    for (let index = 0; index < sequence.count; index++) {
      const offset = sequence.networkOffset[index]
      const problem = readArp(arena.view, offset, sequence.endOffset[index], this.#packet)
      if (problem === undefined) this.#handle(this.#packet)
      else drops.count(this.#reasons[problem])
    }
    return HANDLED
  }

  #handle(packet: ArpPacket): void {
    const { senderAddress, targetAddress } = packet
    const isProbe = senderAddress.isUnspecified
    // RFC 5227 2.1.1 MUST: a probe, which has no sender address, changes nothing that is known
    // RFC 826 reception (sender) MUST: the sender of a request or reply updates what is known of its address
    if (!isProbe) this.#noticeSender(packet)
    // RFC 826 reception (request) MUST: only a request is answered
    if (packet.operation !== Operation.request || senderAddress.equals(targetAddress)) return
    if (this.#isToBeAnswered(targetAddress, isProbe)) this.#answer(packet)
  }

  #noticeSender({ senderAddress, senderMac }: ArpPacket): void {
    const { guest, log } = this.#components
    if (!this.#isOurs(senderAddress)) {
      if (isStation(senderAddress)) guest.neighbours.announce(senderAddress, senderMac, true)
      return
    }
    if (this.#hasWarned || senderMac.equals(guest.ourMac)) return
    if (guest.hostNeighbours.shows(senderAddress, senderMac)) return
    this.#hasWarned = true
    log.warning(
      `ARP: ${senderMac} uses ${senderAddress}, which is ours towards the guest: give the guest another address`,
    )
  }

  #isToBeAnswered(asked: Address, isProbe: boolean): boolean {
    // RFC 826 reception (ours) MUST: a request for an address of ours is answered, one without a sender address as well
    if (this.#isOurs(asked)) return true
    // RFC 5227 2.1.1 (others) SHOULD NOT: a probe is not answered for an address that is not ours
    return !isProbe && isStation(asked) && !this.#isGuests(asked)
  }

  #isGuests(address: Address): boolean {
    return this.#guestAddress?.equals(address) || this.#components.guest.neighbours.isAnnounced(address)
  }

  #isOurs(address: Address): boolean {
    for (const ours of this.#ourAddresses) if (ours.equals(address)) return true
    return false
  }

  /** Turns the request into its reply, and sends the reply. */
  #answer(packet: ArpPacket): void {
    const { guest, log } = this.#components
    const asked = packet.targetAddress.word3
    // RFC 826 reception (reply) MUST: the reply has the ends of the request swapped, and our hardware address
    packet.operation = Operation.reply
    packet.targetMac.copyFrom(packet.senderMac)
    packet.targetAddress.copyFrom(packet.senderAddress)
    packet.senderAddress.word3 = asked
    packet.senderMac.copyFrom(guest.hostNeighbours.macOf(packet.senderAddress))
    if (!this.#send(packet.targetMac, packet)) return
    if (log.isTrace) log.trace(`ARP: reply to ${packet.targetMac}: ${packet.senderAddress} is at ${packet.senderMac}`)
  }

  #askForGuest(): void {
    if (this.#askedAtStart !== undefined && this.#components.guest.guestMac.isBroadcast)
      this.#ask(this.#askedAtStart, undefined)
  }

  /** Asks the station, or everybody, for the address. Needs an address of our own: a request without one is a probe. */
  #ask(address: Address, station: MacAddress | undefined): void {
    const [ours] = this.#ourAddresses
    if (ours !== undefined) this.#request(ours, address, station ?? BROADCAST)
  }

  /** Announces a neighbour of the host with a request in its name: stations that know the address note the sender. */
  #announce(address: Address): void {
    // RFC 5227 2.3 MUST: an announcement is a request to all stations with the address as sender and as target
    if (!this.#isGuests(address)) this.#request(address, address, BROADCAST)
  }

  #request(senderAddress: Address, targetAddress: Address, station: MacAddress): void {
    const { guest } = this.#components
    const request: ArpPacket = {
      operation: Operation.request,
      senderMac: guest.hostNeighbours.macOf(senderAddress),
      senderAddress,
      targetMac: new MacAddress(),
      targetAddress,
    }
    this.#send(station, request)
  }

  /** Returns false if there is no room. */
  #send(target: MacAddress, packet: ArpPacket): boolean {
    const { arena, guest } = this.#components
    const offset = guest.beginFrame(target, EtherType.arp, ARP_LENGTH)
    if (offset < 0) return false
    writeArp(arena.view, offset, packet)
    guest.endFrame(offset, ARP_LENGTH)
    return true
  }
}

/** True for an address that a station on the link may have. */
function isStation(address: Address): boolean {
  return address.isUnicast && !address.isLoopback
}
