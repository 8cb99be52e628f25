/**
 * What a server with a single address to give answers a client (RFC 2131, section 4.3). Pure: a request and what there
 * is to give in, an answer out.
 */
import { Address } from "@demiflow/core"
import { encodeDomainNames } from "../domain-name.ts"
import { asciiBytes } from "../text.ts"
import type { Dhcpv4Header, Dhcpv4Message, Dhcpv4OptionValue } from "./packet.ts"
import {
  BROADCAST_FLAG,
  CLIENT_PORT,
  Operation,
  Dhcpv4Option as Option,
  SERVER_PORT,
  Dhcpv4MessageType as Type,
} from "./wire.ts"

/** What there is to give. */
export interface Dhcpv4Lease {
  readonly guestAddress: Address
  /** 0–32. */
  readonly prefixLength: number
  /** Our own address on the link: the server identifier, and the source of what we send. */
  readonly serverAddress: Address
  /** Default gateway. */
  readonly gateway?: Address | undefined
  /** Bytes. */
  readonly mtu?: number | undefined
  readonly nameServers?: readonly Address[]
  readonly searchDomains?: readonly string[]
  readonly hostname?: string | undefined
  /** Fully qualified name of the guest. */
  readonly fqdn?: string | undefined
}

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
      /** For the log: `offer to discover`. */
      readonly description: string
    }
  /** Nothing to answer, and nothing wrong. */
  | { readonly kind: "silent"; readonly description: string; readonly isWarning?: boolean }
  /** A message that no client should send. */
  | { readonly kind: "refused"; readonly reason: Dhcpv4Refusal }

export type Dhcpv4Refusal = "not a request" | "no message type" | "message type" | "option value" | "no address"

/** We have one guest, and it may keep its address for good. */
const INFINITE_LEASE = 0xffffffff
/** Smallest "maximum message size" that a client can ask for (RFC 2132, section 9.10), an IP packet in bytes. */
const MINIMUM_MESSAGE_SIZE = 576
const IP_AND_UDP_HEADERS = 28
const NOTHING = Address.fromV4(0)
const BROADCAST = Address.fromV4(0xffffffff)
/** RFC 2563, section 2.1. */
const DO_NOT_AUTO_CONFIGURE = 0
/** RFC 4702, section 2.1. */
const FqdnFlag = { server: 0x01, overridden: 0x02, wireForm: 0x04, noUpdate: 0x08 } as const
const FQDN_RESULT_CODE = 255

/** Answers a message from a client. */
export function answerDhcpv4(request: Dhcpv4Message, lease: Dhcpv4Lease): Dhcpv4Answer {
  if (request.operation !== Operation.request) return { kind: "refused", reason: "not a request" }
  if (!hasSoundOptions(request)) return { kind: "refused", reason: "option value" }
  const type = request.options.get(Option.messageType)
  if (type === undefined) return { kind: "refused", reason: "no message type" }
  switch (type[0]) {
    case Type.discover:
      return answerDiscover(request, lease)
    case Type.request:
      return answerRequest(request, lease)
    case Type.inform:
      return answerInform(request, lease)
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

function answerDiscover(request: Dhcpv4Message, lease: Dhcpv4Lease): Dhcpv4Answer {
  const rapid = request.options.has(Option.rapidCommit)
  const type = rapid ? Type.acknowledge : Type.offer
  const description = rapid ? "ack to discover with rapid commit" : "offer to discover"
  const extra: Dhcpv4OptionValue[] = rapid ? [{ code: Option.rapidCommit, value: new Uint8Array() }] : []
  if (request.options.has(Option.autoConfigure)) {
    extra.push({ code: Option.autoConfigure, value: Uint8Array.of(DO_NOT_AUTO_CONFIGURE) })
  }
  return grant(request, lease, type, description, extra)
}

/**
 * RFC 2131, section 4.3.2: which of the four states the client is in shows in what the request holds. There is one
 * address only, so what counts is whether the client means this one.
 */
function answerRequest(request: Dhcpv4Message, lease: Dhcpv4Lease): Dhcpv4Answer {
  const server = request.options.get(Option.serverIdentifier)
  if (server !== undefined && !Address.fromBytes(server).equals(lease.serverAddress)) {
    return { kind: "silent", description: `the guest chose another server, ${Address.fromBytes(server)}` }
  }
  const requested = request.options.get(Option.requestedAddress)
  const wanted = requested === undefined ? request.clientAddress : Address.fromBytes(requested)
  if (wanted.isUnspecified) return { kind: "refused", reason: "no address" }
  if (!wanted.equals(lease.guestAddress)) return refuse(request, lease, wanted)
  return grant(request, lease, Type.acknowledge, "ack to request")
}

/** RFC 2131, section 4.3.5: parameters only, for a client that has its address from elsewhere. */
function answerInform(request: Dhcpv4Message, lease: Dhcpv4Lease): Dhcpv4Answer {
  if (request.clientAddress.isUnspecified) return { kind: "refused", reason: "no address" }
  return {
    kind: "reply",
    header: { ...replyHeader(request), clientAddress: request.clientAddress },
    options: [...identification(request, lease, Type.acknowledge), ...parameters(request, lease)],
    destination: destinationOf(request, NOTHING),
    limit: messageLimit(request),
    description: "ack to inform",
  }
}

function grant(
  request: Dhcpv4Message,
  lease: Dhcpv4Lease,
  type: number,
  description: string,
  extra: readonly Dhcpv4OptionValue[] = [],
): Dhcpv4Answer {
  // Section 4.3.1, table 3: the client's address is repeated in an acknowledgement and zero in an offer.
  const clientAddress = type === Type.acknowledge ? request.clientAddress : NOTHING
  return {
    kind: "reply",
    header: { ...replyHeader(request), clientAddress, yourAddress: lease.guestAddress },
    options: [
      ...identification(request, lease, type),
      { code: Option.leaseTime, value: word(INFINITE_LEASE) },
      ...extra,
      ...parameters(request, lease),
    ],
    destination: destinationOf(request, lease.guestAddress),
    limit: messageLimit(request),
    description,
  }
}

/** Section 4.3.2: a refusal is broadcast, as the client can't count on the address that it has. */
function refuse(request: Dhcpv4Message, lease: Dhcpv4Lease, wanted: Address): Dhcpv4Answer {
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
    limit: messageLimit(request),
    description: `nak to request for ${wanted}`,
  }
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
  const wantsBroadcast = (request.flags & BROADCAST_FLAG) !== 0 || yourAddress.isUnspecified
  return { address: wantsBroadcast ? BROADCAST : yourAddress, port: CLIENT_PORT }
}

function messageLimit(request: Dhcpv4Message): number {
  const asked = request.options.get(Option.maximumMessageSize)
  const size = asked === undefined ? 0 : (asked[0] << 8) | asked[1]
  return Math.max(size, MINIMUM_MESSAGE_SIZE) - IP_AND_UDP_HEADERS
}

/** Message type, server, and the client's identifier as it came (RFC 6842). */
function identification(request: Dhcpv4Message, lease: Dhcpv4Lease, type: number): Dhcpv4OptionValue[] {
  const client = request.options.get(Option.clientIdentifier)
  return [
    { code: Option.messageType, value: Uint8Array.of(type) },
    { code: Option.serverIdentifier, value: lease.serverAddress.toBytes() },
    ...(client === undefined ? [] : [{ code: Option.clientIdentifier, value: client }]),
  ]
}

/**
 * What is configured, those that the client asked for first, in its order (RFC 2132, section 9.8). The rest follows as far
 * as there is room: some clients use an MTU, say, that they didn't ask for.
 */
function parameters(request: Dhcpv4Message, lease: Dhcpv4Lease): Dhcpv4OptionValue[] {
  const configured = configuredParameters(request, lease)
  const asked = [...(request.options.get(Option.parameterRequestList) ?? [])]
  const rank = (code: number) => (asked.includes(code) ? asked.indexOf(code) : asked.length)
  return configured.sort((first, second) => rank(first.code) - rank(second.code))
}

function configuredParameters(request: Dhcpv4Message, lease: Dhcpv4Lease): Dhcpv4OptionValue[] {
  const { gateway, mtu, nameServers = [], searchDomains = [], hostname } = lease
  const options: Dhcpv4OptionValue[] = []
  const add = (code: number, value: Uint8Array | undefined) => {
    if (value !== undefined && value.length > 0) options.push({ code, value })
  }
  add(Option.subnetMask, word(lease.prefixLength === 0 ? 0 : -1 << (32 - lease.prefixLength)))
  add(Option.classlessStaticRoutes, routesTo(lease))
  add(Option.router, gateway?.toBytes())
  add(Option.nameServers, Uint8Array.from(nameServers.flatMap((server) => [...server.toBytes()])))
  add(Option.interfaceMtu, mtu === undefined ? undefined : Uint8Array.of(mtu >>> 8, mtu & 0xff))
  add(Option.hostName, hostname === undefined ? undefined : asciiBytes(hostname))
  add(Option.clientFqdn, fqdnOption(request, lease))
  add(Option.domainSearch, encodeDomainNames(searchDomains, true))
  return options
}

/**
 * RFC 3442: a gateway outside of the guest's subnet needs a route of its own, on link, before it can be the default. Clients
 * that know this option ignore the router option, so the default route is repeated.
 */
function routesTo({ gateway, guestAddress, prefixLength }: Dhcpv4Lease): Uint8Array | undefined {
  if (gateway === undefined || guestAddress.sharesPrefix(gateway, prefixLength)) return undefined
  const onLink = [32, ...gateway.toBytes(), ...NOTHING.toBytes()]
  const byDefault = [0, ...gateway.toBytes()]
  return Uint8Array.of(...onLink, ...byDefault)
}

/** RFC 4702, section 4: the guest's name. Nobody updates the DNS, and a client that wants us to is told so. */
function fqdnOption(request: Dhcpv4Message, { fqdn }: Dhcpv4Lease): Uint8Array | undefined {
  if (fqdn === undefined) return undefined
  const asked = request.options.get(Option.clientFqdn)?.[0]
  const inWireForm = asked === undefined || (asked & FqdnFlag.wireForm) !== 0
  const overridden = asked !== undefined && (asked & FqdnFlag.server) !== 0
  const flags = FqdnFlag.noUpdate | (inWireForm ? FqdnFlag.wireForm : 0) | (overridden ? FqdnFlag.overridden : 0)
  const name = inWireForm ? encodeDomainNames([fqdn]) : asciiBytes(fqdn)
  if (name === undefined || name.length === 0) return undefined
  return Uint8Array.of(flags, FQDN_RESULT_CODE, FQDN_RESULT_CODE, ...name)
}

function word(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value)
}
