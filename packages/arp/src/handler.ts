/**
 * ARP for the guest: theory of operation.
 *
 * Whatever IPv4 address the guest looks for on its link, it is found: at the Ethernet address that a neighbour of the host
 * has, if it is that of one, else at ours: the gateway, and every other address, as it pleases the guest's routes. When a
 * neighbour of the host shows another Ethernet address than before, that is announced (RFC 5227, section 3), from our
 * Ethernet address. The exception is what belongs to the guest itself: the address it was assigned, and any other that it
 * uses. These may be on several stations behind the link (containers bridged to it, say), which must find each other without
 * us in between. The guest's own addresses show in the sender field of what it sends: they are announced to the neighbour
 * table, which remembers each for five minutes, and finds the stations of packets by them.
 *
 * A station that is about to take an address asks for it first (RFC 5227): a probe, with no sender address. An answer
 * would mean that the address is taken, so probes are answered only for the addresses that really are ours, such as the
 * gateway's. Announcements, which ask for the sender's own address, are never answered. A station that announces one of ours is in
 * the way of its own traffic; that is worth a warning, once.
 *
 * Replies from the guest only show which addresses it has. An answer goes to the station that the question names as sender.
 *
 * The neighbour table has us ask for addresses whose station isn't known, or wasn't heard for a while.
 *
 * A guest that was there before us, or before we were reconnected, may have nothing to say until somebody speaks to it. So
 * that we know its Ethernet address by then, we can ask for its assigned address when we start.
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

/** What the plugin has to know of the link. */
export interface ArpOptions {
  /** The address assigned to the guest: never answered for. */
  readonly guestAddress?: Address | undefined
  /** Addresses that are ours on the link, such as the gateway's: defended when the guest probes for them. */
  readonly ourAddresses?: readonly Address[]
  /**
   * True to ask for the assigned address at the start, from the first of ours, so that the guest's Ethernet address is
   * known. False if not given.
   */
  readonly looksForGuest?: boolean
}

/** ARP, set up on a stack. */
export class ArpHandler implements ProtocolHandler {
  readonly name = "arp"
  readonly claims: readonly Claim[] = [{ etherType: EtherType.arp }]
  readonly #components: Components
  readonly #guestAddress: Address | undefined
  readonly #ourAddresses: readonly Address[]
  readonly #reasons: Readonly<Record<ArpMalformation | "no room", DropReason>>
  readonly #packet: ArpPacket = {
    operation: 0,
    senderMac: new MacAddress(),
    senderAddress: new Address(),
    targetMac: new MacAddress(),
    targetAddress: new Address(),
  }
  /** The address to ask for at the start. */
  readonly #lookedFor: Address | undefined
  #hasWarned = false

  constructor(components: Components, { guestAddress, ourAddresses = [], looksForGuest = false }: ArpOptions) {
    const { drops } = components
    this.#lookedFor = looksForGuest ? guestAddress?.clone() : undefined
    this.#components = components
    this.#guestAddress = guestAddress?.clone()
    this.#ourAddresses = ourAddresses.map((address) => address.clone())
    this.#reasons = {
      truncated: drops.reason("arp: truncated"),
      "hardware type": drops.reason("arp: hardware type"),
      "protocol type": drops.reason("arp: protocol type"),
      operation: drops.reason("arp: operation"),
      sender: drops.reason("arp: sender"),
      "no room": drops.reason("arp: no room"),
    }
    const { hostNeighbours, neighbours } = components.guest
    neighbours.askWith(true, (address, station) => this.#ask(address, station))
    hostNeighbours.announceWith(true, (address) => this.#announce(address))
  }

  start(): void {
    this.#hasWarned = false
    this.#lookForGuest()
  }

  /** The guest may be another one, and is the sooner known for it. */
  reconnected(): void {
    if (this.#lookedFor !== undefined) this.#ask(this.#lookedFor, undefined)
  }

  fromTap(sequence: Sequence): Disposition {
    const { arena, drops } = this.#components
    for (let index = 0; index < sequence.count; index++) {
      const offset = sequence.networkOffset[index]
      const problem = readArp(arena.view, offset, sequence.endOffset[index], this.#packet) ?? this.#handle(this.#packet)
      if (problem !== undefined) drops.count(this.#reasons[problem])
    }
    return HANDLED
  }

  #handle(packet: ArpPacket): "no room" | undefined {
    const { senderAddress, targetAddress } = packet
    const isProbe = senderAddress.isUnspecified
    if (!isProbe) this.#noticeSender(packet)
    if (packet.operation !== Operation.request || senderAddress.equals(targetAddress)) return undefined
    return this.#isToBeAnswered(targetAddress, isProbe) ? this.#answer(packet) : undefined
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
    if (this.#isOurs(asked)) return true
    return !isProbe && isStation(asked) && !this.#isGuests(asked)
  }

  #isGuests(address: Address): boolean {
    return this.#guestAddress?.equals(address) || this.#components.guest.neighbours.isAnnounced(address)
  }

  #isOurs(address: Address): boolean {
    for (const ours of this.#ourAddresses) if (ours.equals(address)) return true
    return false
  }

  /** Turns the request into its reply, and sends it. */
  #answer(packet: ArpPacket): "no room" | undefined {
    const { guest, log } = this.#components
    const asked = packet.targetAddress.word3
    packet.operation = Operation.reply
    packet.targetMac.copyFrom(packet.senderMac)
    packet.targetAddress.copyFrom(packet.senderAddress)
    packet.senderAddress.word3 = asked
    packet.senderMac.copyFrom(guest.hostNeighbours.macOf(packet.senderAddress))
    if (!this.#send(packet.targetMac, packet)) return "no room"
    if (log.isTrace) log.trace(`ARP: told ${packet.targetMac} that ${packet.senderAddress} is at ${packet.senderMac}`)
    return undefined
  }

  #lookForGuest(): void {
    if (this.#lookedFor !== undefined && this.#components.guest.guestMac.isBroadcast)
      this.#ask(this.#lookedFor, undefined)
  }

  /** Asks for the address: the station, or everybody. Not without an address of our own: that would be a probe. */
  #ask(address: Address, station: MacAddress | undefined): void {
    const [ours] = this.#ourAddresses
    if (ours !== undefined) this.#request(ours, address, station ?? BROADCAST)
  }

  /** Asks everybody for a neighbour of the host, as from the neighbour: those who know the address note the sender. */
  #announce(address: Address): void {
    if (!this.#isGuests(address)) this.#request(address, address, BROADCAST)
  }

  #request(senderAddress: Address, targetAddress: Address, station: MacAddress): void {
    const { drops, guest } = this.#components
    const request: ArpPacket = {
      operation: Operation.request,
      senderMac: guest.hostNeighbours.macOf(senderAddress),
      senderAddress,
      targetMac: new MacAddress(),
      targetAddress,
    }
    if (!this.#send(station, request)) drops.count(this.#reasons["no room"])
  }

  /** False if there is no room. */
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
