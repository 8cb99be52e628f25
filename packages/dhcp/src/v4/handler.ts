/**
 * DHCPv4 for the guest: theory of operation.
 *
 * There is one client and one address, the configured one, so the server keeps no state: an answer follows from the
 * request and the lease alone. A message is read (`packet.ts`), answered by a pure function (`server.ts`), and written
 * straight into the arena. The lease never ends. A client that requests another address is refused, and starts over;
 * one that chose another server gets no answer.
 *
 * We handle what the guest sends to port 67 of the broadcast address or of our own address. Messages to any other
 * address are for a server beyond us, and pass as ordinary UDP. Their source port doesn't matter: section 4.1 only
 * specifies where messages are sent to, and relay agents send from port 67.
 *
 * A reply goes where RFC 2131, section 4.1, says: to the relay agent, to the address that the client has, else to the
 * address that it is assigned, or to everybody if the client says that it can't receive unicast yet. The frame goes to
 * the Ethernet address that the request came from, whatever address the guest used before.
 *
 * Options that don't fit a message of the client's maximum size go to its server name and boot file fields. Before
 * that, the lists of name servers and search domains, which may have any length, are shortened. Options that the client
 * requests come first.
 *
 * A request without a message type is a BOOTP client's, and gets the options that fit BOOTP's 64 bytes.
 *
 * Not done: several addresses, DNS updates (the answer says so to clients that request them), authentication (RFC
 * 3118), and vendor options.
 *
 * RFC 2131, 2132; 951, 1534 (BOOTP), 2563 (a client gets an address here and shouldn't choose one), 3046 (information
 * of relay agents is returned), 3396 (long options), 3397 (search domains), 3442 (a gateway outside the subnet), 4039
 * (rapid commit), 4702 (names), 6842 (client identifiers).
 */
import {
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
import type { Dhcpv4Lease } from "./lease-options.ts"
import { type Dhcpv4Message, emitDhcpv4, parseDhcpv4 } from "./packet.ts"
import { answerDhcpv4 } from "./server.ts"
import { IP_AND_UDP_HEADERS, Dhcpv4MessageType as MessageType, Dhcpv4Option as Option, SERVER_PORT } from "./wire.ts"

/** True for a client that names the address that it had: it may have kept running (RFC 2131, section 4.4.1). */
function namesAddress({ clientAddress, options }: Dhcpv4Message): boolean {
  return !clientAddress.isUnspecified || options.has(Option.requestedAddress)
}

/** DHCPv4, set up on a stack. */
export class Dhcpv4Handler implements ProtocolHandler {
  readonly name = "dhcp"
  readonly claims: readonly Claim[] = [{ ipProtocol: IpProtocol.udp, hasPorts: true, forwardingPort: SERVER_PORT }]
  readonly #components: Components
  readonly #lease: Dhcpv4Lease
  readonly #reasons: DropReasons
  readonly #sender: ReplySender

  constructor(components: Components, lease: Dhcpv4Lease) {
    this.#components = components
    this.#lease = lease
    this.#reasons = new DropReasons(components.drops, "dhcp")
    this.#sender = new ReplySender(components)
  }

  fromGuest(sequence: Sequence): Disposition {
    const asked = sequence.demiflow.forwardingAddress
    // RFC 2131 4.1 (port) MUST: a server hears what is sent to its port 67
    if (!asked.isLimitedBroadcast && !asked.equals(this.#lease.serverAddress)) return NOT_MINE
    for (let index = 0; index < sequence.count; index++) {
      const reason = this.#answer(sequence, index)
      if (reason !== undefined) this.#components.drops.count(reason)
    }
    return HANDLED
  }

  /** Answers one message. Returns the drop reason if the message is dropped instead. */
  #answer(sequence: Sequence, index: number): DropReason | undefined {
    const { guest, log } = this.#components
    const payload = udpPayload(this.#components, sequence, index)
    if (typeof payload === "string") return this.#reasons.get(payload)
    const parsed = parseDhcpv4(payload)
    if (parsed.kind === "malformed") return this.#reasons.get(parsed.reason)
    const type = parsed.message.options.get(Option.messageType)?.[0]
    const answer = answerDhcpv4(parsed.message, this.#lease, guest.mtu - IP_AND_UDP_HEADERS)
    if (answer.kind === "refused") return this.#reasons.get(answer.reason)
    // A message without a type is from a BOOTP client, which is booting.
    if (type === undefined || type === MessageType.discover)
      guest.neighbours.startsOver(sequence.sourceMac, !namesAddress(parsed.message))
    const line = `DHCP: ${answer.description} from ${sequence.sourceMac}`
    if (answer.kind === "silent") {
      if (answer.isWarning) log.warning(line)
      else log.info(line)
      return undefined
    }
    const from = { address: this.#lease.serverAddress, port: SERVER_PORT }
    const wasSent = this.#sender.send(from, answer.destination, sequence.sourceMac, answer.limit, (target) =>
      emitDhcpv4(answer.header, answer.options, answer.limit, target),
    )
    // The guest counts what it has no room for.
    if (!wasSent) return undefined
    if (answer.confirmsMtu && this.#lease.mtu !== undefined) guest.noticeMtu?.(true, this.#lease.mtu)
    log.info(line)
    return undefined
  }
}
