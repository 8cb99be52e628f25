/**
 * DHCPv6 for the guest: theory of operation.
 *
 * As for DHCPv4, there is one client and one address, and no state: a message is read (`packet.ts`), answered by a pure
 * function (`server.ts`), and written straight into the arena. The address lasts forever. A client with an address of
 * another link gets an answer that says so, and starts over. Our identifier is derived from our Ethernet address, so
 * that it is the same the next time. Clients need not wait for better offers: ours has the highest preference.
 *
 * Clients send to port 547 of a group of servers and agents, from their link-local address, and get the answer there,
 * from ours. Their source port is left open (section 7.2). Messages to an address of our own are answered by "use
 * multicast" (section 18.4), except those that must then be discarded (section 16). Messages to any other address are
 * for a server beyond us and pass as ordinary UDP.
 *
 * In local mode there is no address to assign, but there may be name servers and search domains.
 *
 * Not done: temporary addresses and prefixes (clients that request them get a status that says so), relay agents (there
 * is only one link), reconfiguration, authentication, DNS updates (the answer says so to clients that request them).
 *
 * RFC 8415; 3646 (name servers and search domains), 4704 (names).
 */
import {
  Address,
  type Claim,
  type Components,
  type Disposition,
  type DropReason,
  HANDLED,
  IpProtocol,
  NOT_MINE,
  type ProtocolHandler,
  type Sequence,
} from "@demiflow/core"
import { DropReasons } from "../drop-reasons.ts"
import { ReplySender, udpPayload } from "../reply.ts"
import { emitDhcpv6, parseDhcpv6 } from "./packet.ts"
import { answerDhcpv6, type Dhcpv6Lease, serverIdentifier } from "./server.ts"
import { CLIENT_PORT, Dhcpv6MessageType, SERVER_PORT } from "./wire.ts"

/** RFC 8415, section 7.1. */
const ALL_AGENTS_AND_SERVERS = Address.parse("ff02::1:2")
const ALL_SERVERS = Address.parse("ff05::1:3")
/** Bytes that every IPv6 link carries without fragments (RFC 8200, section 5), less the IPv6 and UDP headers. */
const PAYLOAD_LIMIT = 1280 - 48

/** DHCPv6, set up on a stack. */
export class Dhcpv6Handler implements ProtocolHandler {
  readonly name = "dhcpv6"
  readonly claims: readonly Claim[] = [{ ipProtocol: IpProtocol.udp, hasPorts: true, forwardingPort: SERVER_PORT }]
  readonly #components: Components
  readonly #lease: Dhcpv6Lease
  readonly #identifier: Uint8Array
  readonly #reasons: DropReasons
  readonly #sender: ReplySender

  constructor(components: Components, lease: Dhcpv6Lease) {
    this.#components = components
    this.#lease = lease
    this.#identifier = serverIdentifier(components.guest.ourMac)
    this.#reasons = new DropReasons(components.drops, "dhcpv6")
    this.#sender = new ReplySender(components)
  }

  fromGuest(sequence: Sequence): Disposition {
    const { guest, drops } = this.#components
    const { forwardingAddress: asked, correspondentAddress: client } = sequence.demiflow
    // RFC 8415 7.1 MUST: a server is a member of the groups of servers and agents
    const isMulticast = asked.equals(ALL_AGENTS_AND_SERVERS) || asked.equals(ALL_SERVERS)
    if (!isMulticast && !asked.equals(guest.ourLinkLocal)) return NOT_MINE
    // Section 14.1: clients send from an address of their own on the link.
    if (!client.isUnicast || client.isV4) return this.#reasons.get("source address")
    for (let index = 0; index < sequence.count; index++) {
      const reason = this.#answer(sequence, index, isMulticast)
      if (reason !== undefined) drops.count(reason)
    }
    return HANDLED
  }

  /** Answers one message. Returns the drop reason if the message is dropped instead. */
  #answer(sequence: Sequence, index: number, wasMulticast: boolean): DropReason | undefined {
    const { guest, log } = this.#components
    const payload = udpPayload(this.#components, sequence, index)
    if (typeof payload === "string") return this.#reasons.get(payload)
    const parsed = parseDhcpv6(payload)
    if (parsed.kind === "malformed") return this.#reasons.get(parsed.reason)
    // RFC 8415 7.2 (server) MUST: servers listen at port 547
    const answer = answerDhcpv6(parsed.message, this.#lease, this.#identifier, wasMulticast, PAYLOAD_LIMIT)
    if (answer.kind === "refused") return this.#reasons.get(answer.reason)
    // Some clients solicit whenever their link comes back, as one that was just started does.
    if (parsed.message.type === Dhcpv6MessageType.solicit) guest.neighbours.startsOver(sequence.sourceMac, false)
    if (answer.kind === "silent") {
      log.info(`DHCPv6: ${answer.description} from ${sequence.sourceMac}`)
      return undefined
    }
    // RFC 8415 7.2 (client) MUST: clients listen at port 546
    const from = { address: guest.ourLinkLocal, port: SERVER_PORT }
    const to = { address: sequence.demiflow.correspondentAddress, port: CLIENT_PORT }
    const wasSent = this.#sender.send(from, to, sequence.sourceMac, PAYLOAD_LIMIT, (target) =>
      emitDhcpv6(answer.type, answer.transactionId, answer.options, target),
    )
    // The guest counts what it has no room for.
    if (!wasSent) return undefined
    const line = `DHCPv6: ${answer.description} to ${sequence.sourceMac}`
    if (answer.isWarning) log.warning(line)
    else log.info(line)
    return undefined
  }
}
