/**
 * The answers of a server with a single address to assign (RFC 2131, section 4.3), as a pure function of the request
 * and the lease.
 */
import { Address } from "@demiflow/core"
import { asciiBytes, words } from "../bytes.ts"
import { bootpParameters, type Dhcpv4Lease, leaseParameters } from "./lease-options.ts"
import { type Dhcpv4Header, type Dhcpv4Message, type Dhcpv4OptionValue, encodedLength } from "./packet.ts"
import {
  BOOTP_LENGTH,
  BROADCAST_FLAG,
  CLIENT_PORT,
  IP_AND_UDP_HEADERS,
  OPTIONS,
  Operation,
  Dhcpv4Option as Option,
  SERVER_PORT,
  Dhcpv4MessageType as Type,
} from "./wire.ts"

/** The destination of a reply. */
export interface Dhcpv4Destination {
  readonly address: Address
  readonly port: number
}

export type Dhcpv4Answer =
  | {
      readonly kind: "reply"
      readonly header: Dhcpv4Header
      /** The most important ones first. */
      readonly options: readonly Dhcpv4OptionValue[]
      readonly destination: Dhcpv4Destination
      /** Bytes that the client accepts. */
      readonly limit: number
      /** True if the client has requested the interface's MTU, and has it now. */
      readonly confirmsMtu: boolean
      /** For the log: `offer to discover`. */
      readonly description: string
    }
  /** No answer, and nothing wrong. */
  | { readonly kind: "silent"; readonly description: string; readonly isWarning?: boolean }
  /** A message that no client should send. */
  | { readonly kind: "refused"; readonly reason: Dhcpv4Refusal }

export type Dhcpv4Refusal = "not a request" | "message type" | "option value" | "no address"

/** We have one guest, which may keep its address for good. */
const INFINITE_LEASE = 0xffffffff
/** Smallest "maximum message size" that a client may state (RFC 2132, section 9.10): of an IP packet, bytes. */
const MINIMUM_MESSAGE_SIZE = 576
/** Length of the end option, bytes. */
const END_LENGTH = 1
const NOTHING = Address.fromV4(0)
const BROADCAST = Address.fromV4(0xffffffff)
/** RFC 2563, section 2.1. */
const DO_NOT_AUTO_CONFIGURE = 0

/**
 * Answers a message from a client.
 *
 * @param longest message that the link carries, bytes
 */
export function answerDhcpv4(
  request: Dhcpv4Message,
  lease: Dhcpv4Lease,
  longest: number = Number.POSITIVE_INFINITY,
): Dhcpv4Answer {
  // RFC 2131 3 (operation) MUST: a server takes messages with operation 1 alone, and answers with 2
  if (request.operation !== Operation.request) return { kind: "refused", reason: "not a request" }
  if (!hasSoundOptions(request)) return { kind: "refused", reason: "option value" }
  const type = request.options.get(Option.messageType)
  // RFC 1534 2 MUST: a message without a message type is from a BOOTP client
  if (type === undefined) return answerBootp(request, lease)
  switch (type[0]) {
    case Type.discover:
      return answerDiscover(request, lease, longest)
    case Type.request:
      return answerRequest(request, lease, longest)
    case Type.inform:
      return answerInform(request, lease, longest)
    // RFC 2131 4.3.4 SHOULD: the server keeps what the client was assigned, for the next time; no release is answered
    case Type.release:
      return { kind: "silent", description: "release" }
    // RFC 2131 4.3.3 SHOULD: a declined address is reported to the administrator
    case Type.decline:
      return { kind: "silent", description: `the guest declines ${lease.guestAddress}: it is in use`, isWarning: true }
    default:
      return { kind: "refused", reason: "message type" }
  }
}

/** Checks the lengths of the options that we read. */
function hasSoundOptions({ options }: Dhcpv4Message): boolean {
  const lengths: readonly [number, number][] = [
    [Option.messageType, 1],
    [Option.requestedAddress, 4],
    [Option.serverIdentifier, 4],
    [Option.maximumMessageSize, 2],
    [Option.autoConfigure, 1],
    [Option.rapidCommit, 0],
  ]
  const fqdn = options.get(Option.clientFqdn)
  if (fqdn !== undefined && fqdn.length < 3) return false
  return lengths.every(([code, length]) => (options.get(code)?.length ?? length) === length)
}

function answerDiscover(request: Dhcpv4Message, lease: Dhcpv4Lease, longest: number): Dhcpv4Answer {
  const rapid = request.options.has(Option.rapidCommit)
  // RFC 4039 4 MUST: an acknowledgement of a discover has the rapid commit option
  const type = rapid ? Type.acknowledge : Type.offer
  const description = rapid ? "ack to discover with rapid commit" : "offer to discover"
  const extra: Dhcpv4OptionValue[] = rapid ? [{ code: Option.rapidCommit, value: new Uint8Array() }] : []
  // RFC 2563 2.3 SHOULD: a client with the option learns from an offer if it may choose an address
  if (request.options.has(Option.autoConfigure)) {
    extra.push({ code: Option.autoConfigure, value: Uint8Array.of(DO_NOT_AUTO_CONFIGURE) })
  }
  return grant(request, lease, longest, type, description, extra)
}

/**
 * RFC 2131, section 4.3.2: the contents of a request show which of four states the client is in. As there is only one
 * address, it only matters whether the client means that one.
 */
function answerRequest(request: Dhcpv4Message, lease: Dhcpv4Lease, longest: number): Dhcpv4Answer {
  const server = request.options.get(Option.serverIdentifier)
  // RFC 2131 4.3.2 (selecting) MUST: a request that names another server is not answered
  if (server !== undefined && !Address.fromBytes(server).equals(lease.serverAddress)) {
    return { kind: "silent", description: `the guest chose another server, ${Address.fromBytes(server)}` }
  }
  const requested = request.options.get(Option.requestedAddress)
  const wanted = requested === undefined ? request.clientAddress : Address.fromBytes(requested)
  if (wanted.isUnspecified) return { kind: "refused", reason: "no address" }
  // RFC 2131 4.3.2 (refusal) SHOULD: a request for an address that is wrong for the network is refused
  if (!wanted.equals(lease.guestAddress)) return refuse(request, lease, longest, wanted)
  return grant(request, lease, longest, Type.acknowledge, "ack to request")
}

/** RFC 2131, section 4.3.5: parameters only, by unicast to a client that has its address from elsewhere. */
function answerInform(request: Dhcpv4Message, lease: Dhcpv4Lease, longest: number): Dhcpv4Answer {
  if (request.clientAddress.isUnspecified) return { kind: "refused", reason: "no address" }
  const limit = messageLimit(request, longest)
  return {
    kind: "reply",
    // RFC 2131 4.3.5 (address) SHOULD NOT: an answer to an inform assigns no address
    header: { ...replyHeader(request), clientAddress: request.clientAddress },
    // RFC 2131 4.3.5 (lease) MUST NOT: an answer to an inform has no lease time
    options: withParameters(request, lease, limit, identification(request, lease, Type.acknowledge)),
    // RFC 2131 4.3.5 (destination) MUST: an answer to an inform goes to the address that the client has
    destination: { address: request.clientAddress, port: CLIENT_PORT },
    limit,
    confirmsMtu: asksForMtu(request) && lease.mtu !== undefined,
    description: "ack to inform",
  }
}

/**
 * RFC 1534, section 2: a message without a type is from a BOOTP client, which keeps its address for good and knows no
 * options of DHCP. RFC 951, section 7.3: a client that has an address is assigned none.
 */
function answerBootp(request: Dhcpv4Message, lease: Dhcpv4Lease): Dhcpv4Answer {
  const { clientAddress } = request
  // RFC 951 7.3 MUST: a BOOTP client that has an address is assigned none
  const yourAddress = clientAddress.isUnspecified ? lease.guestAddress : NOTHING
  return {
    kind: "reply",
    header: { ...replyHeader(request), clientAddress, yourAddress },
    options: bootpParameters(lease, BOOTP_LENGTH - OPTIONS - END_LENGTH),
    destination: destinationOf(request, lease.guestAddress),
    limit: BOOTP_LENGTH,
    confirmsMtu: false,
    description: "reply to BOOTP request",
  }
}

function grant(
  request: Dhcpv4Message,
  lease: Dhcpv4Lease,
  longest: number,
  type: number,
  description: string,
  extra: readonly Dhcpv4OptionValue[] = [],
): Dhcpv4Answer {
  // Section 4.3.1, table 3: the client's address is copied to an acknowledgement and zero in an offer.
  // RFC 2131 4.3.1 (client-address) MUST: the client address is 0 in an offer, and copied in an acknowledgement
  const clientAddress = type === Type.acknowledge ? request.clientAddress : NOTHING
  const limit = messageLimit(request, longest)
  // RFC 2131 4.3.1 (lease) MUST: an offer, and an acknowledgement of a request, has the lease time
  const leaseTime = { code: Option.leaseTime, value: words(INFINITE_LEASE) }
  return {
    kind: "reply",
    header: { ...replyHeader(request), clientAddress, yourAddress: lease.guestAddress },
    options: withParameters(request, lease, limit, [...identification(request, lease, type), leaseTime, ...extra]),
    destination: destinationOf(request, lease.guestAddress),
    limit,
    confirmsMtu: type === Type.acknowledge && asksForMtu(request) && lease.mtu !== undefined,
    description,
  }
}

/** Section 4.3.2: a refusal is broadcast, as the client can't rely on the address that it has. */
function refuse(request: Dhcpv4Message, lease: Dhcpv4Lease, longest: number, wanted: Address): Dhcpv4Answer {
  const isRelayed = !request.relayAddress.isUnspecified
  const header = replyHeader(request)
  return {
    kind: "reply",
    // RFC 2131 4.3.2 (relayed-refusal) MUST: a refusal by a relay agent has the broadcast flag
    header: { ...header, flags: isRelayed ? header.flags | BROADCAST_FLAG : header.flags },
    options: [
      ...identification(request, lease, Type.refuse),
      { code: Option.message, value: asciiBytes("address not available") ?? new Uint8Array() },
    ],
    // RFC 2131 4.1 (refusal) MUST: a refusal without a relay agent is broadcast
    destination: isRelayed
      ? { address: request.relayAddress, port: SERVER_PORT }
      : { address: BROADCAST, port: CLIENT_PORT },
    limit: messageLimit(request, longest),
    confirmsMtu: false,
    description: `nak to request for ${wanted}`,
  }
}

/** True if the client requests the MTU. One that doesn't know the option keeps its interface's default. */
function asksForMtu({ options }: Dhcpv4Message): boolean {
  return options.get(Option.parameterRequestList)?.includes(Option.interfaceMtu) === true
}

function replyHeader(request: Dhcpv4Message): Dhcpv4Header {
  return {
    operation: Operation.reply,
    hardwareType: request.hardwareType,
    hardwareLength: request.hardwareLength,
    hops: 0,
    // RFC 2131 4.3.1 (copied) MUST: transaction, flags, relay agent and hardware address are those of the request
    transactionId: request.transactionId,
    seconds: 0,
    flags: request.flags,
    clientAddress: NOTHING,
    yourAddress: NOTHING,
    nextServer: NOTHING,
    relayAddress: request.relayAddress,
    hardwareAddress: request.hardwareAddress,
  }
}

/** Section 4.1: to the relay agent, to the address that the client has, or to the one that it is assigned. */
function destinationOf(request: Dhcpv4Message, yourAddress: Address): Dhcpv4Destination {
  // RFC 2131 4.1 (relay) MUST: an answer goes to port 67 of the relay agent, if there is one
  if (!request.relayAddress.isUnspecified) return { address: request.relayAddress, port: SERVER_PORT }
  // RFC 2131 4.1 (client) MUST: else to the address that the client has
  if (!request.clientAddress.isUnspecified) return { address: request.clientAddress, port: CLIENT_PORT }
  // RFC 2131 4.1 (broadcast) SHOULD: else to the assigned address, or to all if the broadcast flag is set
  const wantsBroadcast = (request.flags & BROADCAST_FLAG) !== 0
  return { address: wantsBroadcast ? BROADCAST : yourAddress, port: CLIENT_PORT }
}

/** Returns what the client accepts and the link carries: otherwise, a client would have to reassemble fragments. */
function messageLimit(request: Dhcpv4Message, longest: number): number {
  const asked = request.options.get(Option.maximumMessageSize)
  const size = asked === undefined ? 0 : (asked[0] << 8) | asked[1]
  // RFC 2131 2 MUST: a message of 576 bytes, IP header included, is never too long
  // RFC 2132 9.10 MUST: a smaller maximum message size is not legal, and does not count
  return Math.max(Math.min(size - IP_AND_UDP_HEADERS, longest), MINIMUM_MESSAGE_SIZE - IP_AND_UDP_HEADERS)
}

/**
 * Returns message type, server, and options that are copied from the request: the client's identifier (RFC 6842) and
 * the relay agent's information (RFC 3046, section 2.2, prefers it last, where it would be the first to find no room).
 */
function identification(request: Dhcpv4Message, lease: Dhcpv4Lease, type: number): Dhcpv4OptionValue[] {
  const options: Dhcpv4OptionValue[] = [
    // RFC 2131 4.3.1 (type) MUST: each answer has its message type
    { code: Option.messageType, value: Uint8Array.of(type) },
    // RFC 2131 4.3.1 (server) MUST: each answer has the server identifier
    { code: Option.serverIdentifier, value: lease.serverAddress.toBytes() },
  ]
  // RFC 6842 3 MUST: the client identifier of a request is returned unchanged
  // RFC 3046 2.2 MUST: the information of a relay agent is returned unchanged
  for (const code of [Option.clientIdentifier, Option.relayAgentInformation]) {
    const value = request.options.get(code)
    if (value !== undefined) options.push({ code, value })
  }
  return options
}

/** Returns the options that the exchange needs, and behind them the configured parameters for which there is room. */
function withParameters(
  request: Dhcpv4Message,
  lease: Dhcpv4Lease,
  limit: number,
  needed: readonly Dhcpv4OptionValue[],
): Dhcpv4OptionValue[] {
  const taken = needed.reduce((sum, option) => sum + encodedLength(option.value.length), OPTIONS + END_LENGTH)
  return [...needed, ...leaseParameters(request, lease, limit - taken)]
}
