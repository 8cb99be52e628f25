/**
 * What a server with a single address to give answers a client (RFC 2131, section 4.3). Pure: a request and what there
 * is to give in, an answer out.
 */
import { Address } from "@demiflow/core"
import { asciiBytes, words } from "../bytes.ts"
import { bootpParameters, type Dhcpv4Lease, leaseParameters } from "./lease.ts"
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

/** Where a reply goes. */
export interface Dhcpv4Destination {
  readonly address: Address
  readonly port: number
}

export type Dhcpv4Answer =
  | {
      readonly kind: "reply"
      readonly header: Dhcpv4Header
      /** Those that matter most first. */
      readonly options: readonly Dhcpv4OptionValue[]
      readonly destination: Dhcpv4Destination
      /** Bytes that the client takes. */
      readonly limit: number
      /** True if the client has asked for the interface's MTU, and has it now. */
      readonly confirmsMtu: boolean
      /** For the log: `offer to discover`. */
      readonly description: string
    }
  /** Nothing to answer, and nothing wrong. */
  | { readonly kind: "silent"; readonly description: string; readonly isWarning?: boolean }
  /** A message that no client should send. */
  | { readonly kind: "refused"; readonly reason: Dhcpv4Refusal }

export type Dhcpv4Refusal = "not a request" | "message type" | "option value" | "no address"

/** We have one guest, and it may keep its address for good. */
const INFINITE_LEASE = 0xffffffff
/** Smallest "maximum message size" that a client can ask for (RFC 2132, section 9.10), an IP packet in bytes. */
const MINIMUM_MESSAGE_SIZE = 576
/** The end option. */
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
  if (request.operation !== Operation.request) return { kind: "refused", reason: "not a request" }
  if (!hasSoundOptions(request)) return { kind: "refused", reason: "option value" }
  const type = request.options.get(Option.messageType)
  if (type === undefined) return answerBootp(request, lease)
  switch (type[0]) {
    case Type.discover:
      return answerDiscover(request, lease, longest)
    case Type.request:
      return answerRequest(request, lease, longest)
    case Type.inform:
      return answerInform(request, lease, longest)
    case Type.release:
      return { kind: "silent", description: "release" }
    case Type.decline:
      return { kind: "silent", description: `the guest declines ${lease.guestAddress}: it is in use`, isWarning: true }
    default:
      return { kind: "refused", reason: "message type" }
  }
}

/** Lengths of the options that we read. */
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
  const type = rapid ? Type.acknowledge : Type.offer
  const description = rapid ? "ack to discover with rapid commit" : "offer to discover"
  const extra: Dhcpv4OptionValue[] = rapid ? [{ code: Option.rapidCommit, value: new Uint8Array() }] : []
  if (request.options.has(Option.autoConfigure)) {
    extra.push({ code: Option.autoConfigure, value: Uint8Array.of(DO_NOT_AUTO_CONFIGURE) })
  }
  return grant(request, lease, longest, type, description, extra)
}

/**
 * RFC 2131, section 4.3.2: which of the four states the client is in shows in what the request holds. There is one
 * address only, so what counts is whether the client means this one.
 */
function answerRequest(request: Dhcpv4Message, lease: Dhcpv4Lease, longest: number): Dhcpv4Answer {
  const server = request.options.get(Option.serverIdentifier)
  if (server !== undefined && !Address.fromBytes(server).equals(lease.serverAddress)) {
    return { kind: "silent", description: `the guest chose another server, ${Address.fromBytes(server)}` }
  }
  const requested = request.options.get(Option.requestedAddress)
  const wanted = requested === undefined ? request.clientAddress : Address.fromBytes(requested)
  if (wanted.isUnspecified) return { kind: "refused", reason: "no address" }
  if (!wanted.equals(lease.guestAddress)) return refuse(request, lease, longest, wanted)
  return grant(request, lease, longest, Type.acknowledge, "ack to request")
}

/** RFC 2131, section 4.3.5: parameters only, straight to a client that has its address from elsewhere. */
function answerInform(request: Dhcpv4Message, lease: Dhcpv4Lease, longest: number): Dhcpv4Answer {
  if (request.clientAddress.isUnspecified) return { kind: "refused", reason: "no address" }
  const limit = messageLimit(request, longest)
  return {
    kind: "reply",
    header: { ...replyHeader(request), clientAddress: request.clientAddress },
    options: withParameters(request, lease, limit, identification(request, lease, Type.acknowledge)),
    destination: { address: request.clientAddress, port: CLIENT_PORT },
    limit,
    confirmsMtu: asksForMtu(request) && lease.mtu !== undefined,
    description: "ack to inform",
  }
}

/**
 * RFC 1534, section 2: a message without a type is a BOOTP client's, which keeps its address for good and knows no option
 * of DHCP. RFC 951, section 7.3: a client that has its address is given none.
 */
function answerBootp(request: Dhcpv4Message, lease: Dhcpv4Lease): Dhcpv4Answer {
  const { clientAddress } = request
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
  // Section 4.3.1, table 3: the client's address is repeated in an acknowledgement and zero in an offer.
  const clientAddress = type === Type.acknowledge ? request.clientAddress : NOTHING
  const limit = messageLimit(request, longest)
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

/** Section 4.3.2: a refusal is broadcast, as the client can't count on the address that it has. */
function refuse(request: Dhcpv4Message, lease: Dhcpv4Lease, longest: number, wanted: Address): Dhcpv4Answer {
  const isRelayed = !request.relayAddress.isUnspecified
  const header = replyHeader(request)
  return {
    kind: "reply",
    header: { ...header, flags: isRelayed ? header.flags | BROADCAST_FLAG : header.flags },
    options: [
      ...identification(request, lease, Type.refuse),
      { code: Option.message, value: asciiBytes("address not available") ?? new Uint8Array() },
    ],
    destination: isRelayed
      ? { address: request.relayAddress, port: SERVER_PORT }
      : { address: BROADCAST, port: CLIENT_PORT },
    limit: messageLimit(request, longest),
    confirmsMtu: false,
    description: `nak to request for ${wanted}`,
  }
}

/** A client that doesn't know the option goes on as it was: its card takes what every card takes. */
function asksForMtu({ options }: Dhcpv4Message): boolean {
  return options.get(Option.parameterRequestList)?.includes(Option.interfaceMtu) === true
}

function replyHeader(request: Dhcpv4Message): Dhcpv4Header {
  return {
    operation: Operation.reply,
    hardwareType: request.hardwareType,
    hardwareLength: request.hardwareLength,
    hops: 0,
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

/** Section 4.1: to the relay, to the address that the client has, or to the one it is about to get. */
function destinationOf(request: Dhcpv4Message, yourAddress: Address): Dhcpv4Destination {
  if (!request.relayAddress.isUnspecified) return { address: request.relayAddress, port: SERVER_PORT }
  if (!request.clientAddress.isUnspecified) return { address: request.clientAddress, port: CLIENT_PORT }
  const wantsBroadcast = (request.flags & BROADCAST_FLAG) !== 0
  return { address: wantsBroadcast ? BROADCAST : yourAddress, port: CLIENT_PORT }
}

/** What the client takes and the link carries: a client would have to put fragments together otherwise. */
function messageLimit(request: Dhcpv4Message, longest: number): number {
  const asked = request.options.get(Option.maximumMessageSize)
  const size = asked === undefined ? 0 : (asked[0] << 8) | asked[1]
  return Math.max(Math.min(size - IP_AND_UDP_HEADERS, longest), MINIMUM_MESSAGE_SIZE - IP_AND_UDP_HEADERS)
}

/**
 * Message type, server, and what is repeated as it came: the client's identifier (RFC 6842) and what a relay agent added
 * (RFC 3046, section 2.2, which would like that to come last, where it would be the first to find no room).
 */
function identification(request: Dhcpv4Message, lease: Dhcpv4Lease, type: number): Dhcpv4OptionValue[] {
  const options: Dhcpv4OptionValue[] = [
    { code: Option.messageType, value: Uint8Array.of(type) },
    { code: Option.serverIdentifier, value: lease.serverAddress.toBytes() },
  ]
  for (const code of [Option.clientIdentifier, Option.relayAgentInformation]) {
    const value = request.options.get(code)
    if (value !== undefined) options.push({ code, value })
  }
  return options
}

/** What the exchange needs, and as much of what is configured as there is room for behind it. */
function withParameters(
  request: Dhcpv4Message,
  lease: Dhcpv4Lease,
  limit: number,
  needed: readonly Dhcpv4OptionValue[],
): Dhcpv4OptionValue[] {
  const taken = needed.reduce((sum, option) => sum + encodedLength(option.value.length), OPTIONS + END_LENGTH)
  return [...needed, ...leaseParameters(request, lease, limit - taken)]
}
