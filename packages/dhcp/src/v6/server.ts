/**
 * The answers of a server with a single address to assign (RFC 8415, sections 16 and 18.3), as a pure function of the
 * message and the lease.
 */
import type { Address, MacAddress } from "@demiflow/core"
import { words } from "../bytes.ts"
import { encodeDomainNames } from "../domain-name.ts"
import { type Association, type Dhcpv6Message, type Dhcpv6OptionValue, nestOptions, sizeOfOptions } from "./packet.ts"
import {
  DUID_LINK_LAYER,
  HARDWARE_ETHERNET,
  OPTION_HEADER_LENGTH,
  OPTIONS,
  Dhcpv6Option as Option,
  Dhcpv6Status as Status,
  Dhcpv6MessageType as Type,
} from "./wire.ts"

/** The address and parameters that the client gets. */
export interface Dhcpv6Lease {
  /** Undefined: there are parameters, but no address to assign. */
  readonly guestAddress?: Address | undefined
  readonly nameServers?: readonly Address[]
  readonly searchDomains?: readonly string[]
  /** Fully qualified name of the guest. */
  readonly fqdn?: string | undefined
}

/** A message to the client. */
export interface Dhcpv6Reply {
  readonly kind: "reply"
  readonly type: number
  readonly transactionId: number
  /** The most important ones first. */
  readonly options: readonly Dhcpv6OptionValue[]
  /** For the log: `received SOLICIT, sending ADVERTISE`. */
  readonly description: string
  readonly isWarning?: boolean
}

export type Dhcpv6Answer =
  | Dhcpv6Reply
  /** No answer, and nothing wrong. */
  | { readonly kind: "silent"; readonly description: string }
  /** A message that no client should send, or not in this form. */
  | { readonly kind: "refused"; readonly reason: Dhcpv6Refusal }

export type Dhcpv6Refusal =
  | "message type"
  | "no client identifier"
  | "no server identifier"
  | "unexpected server identifier"
  | "address in an information request"
  | "unicast"

/** We have one guest, which may keep its address for good. */
const INFINITE = 0xffffffff
/** The client need not wait for other servers (RFC 8415, section 18.2.9). */
const HIGHEST_PREFERENCE = 255
const V6_ADDRESS_LENGTH = 16
/** Bits of an address that identify the link. */
const PREFIX_LENGTH = 64
/** RFC 4704, section 4.1. */
const FqdnFlag = { server: 0x01, overridden: 0x02, noUpdate: 0x04 } as const

const MESSAGE_NAMES: ReadonlyMap<number, string> = new Map([
  [Type.solicit, "SOLICIT"],
  [Type.request, "REQUEST"],
  [Type.confirm, "CONFIRM"],
  [Type.renew, "RENEW"],
  [Type.rebind, "REBIND"],
  [Type.release, "RELEASE"],
  [Type.decline, "DECLINE"],
  [Type.informationRequest, "INFORMATION_REQUEST"],
])

/** True for messages that must name their server, false for those that must not (RFC 8415, section 16). */
const NAMES_SERVER: ReadonlyMap<number, boolean> = new Map([
  [Type.solicit, false],
  [Type.request, true],
  [Type.confirm, false],
  [Type.renew, true],
  [Type.rebind, false],
  [Type.release, true],
  [Type.decline, true],
])

/** Messages that may be sent by unicast once a server has allowed that (sections 18.2.2, 18.2.4, 18.2.7, 18.2.8). */
const UNICAST_TYPES: ReadonlySet<number> = new Set([Type.request, Type.renew, Type.release, Type.decline])

/** Returns our server identifier, derived from our Ethernet address (section 11.4). */
export function serverIdentifier(ourMac: MacAddress): Uint8Array {
  const bytes = new Uint8Array(10)
  const view = new DataView(bytes.buffer)
  // RFC 8415 11.4 MUST: an identifier from a link-layer address has type 3, the hardware type and the address
  view.setUint16(0, DUID_LINK_LAYER)
  view.setUint16(2, HARDWARE_ETHERNET)
  ourMac.write(view, 4)
  return bytes
}

/**
 * Answers a message from a client.
 *
 * @param server our identifier
 * @param wasMulticast false if the message came to an address of ours, which no client should use
 * @param limit most bytes of the answer: configured lists are shortened to fit
 */
export function answerDhcpv6(
  message: Dhcpv6Message,
  lease: Dhcpv6Lease,
  server: Uint8Array,
  wasMulticast = true,
  limit: number = Number.POSITIVE_INFINITY,
): Dhcpv6Answer {
  const name = MESSAGE_NAMES.get(message.type)
  if (name === undefined) return { kind: "refused", reason: "message type" }
  // Section 16: such messages are discarded if they come by unicast.
  // RFC 8415 16 MUST: a solicit, confirm, rebind or information request that comes by unicast is discarded
  if (!wasMulticast && !UNICAST_TYPES.has(message.type)) return { kind: "refused", reason: "unicast" }
  const refusal = findRefusal(message)
  if (refusal !== undefined) return { kind: "refused", reason: refusal }
  // RFC 8415 16.4 (other-server) MUST: a message that names another server is discarded
  if (message.serverIdentifier !== undefined && !sameBytes(message.serverIdentifier, server)) {
    return { kind: "silent", description: `received ${name} for another server` }
  }
  const reply = (options: readonly Dhcpv6OptionValue[], type: number = Type.reply): Dhcpv6Reply => ({
    kind: "reply",
    type,
    transactionId: message.transactionId,
    options: [...identification(message, server), ...options],
    description: `received ${name}, sending ${type === Type.advertise ? "ADVERTISE" : "REPLY"}`,
  })
  const withParameters = (...needed: Dhcpv6OptionValue[]): Dhcpv6OptionValue[] => {
    const taken = OPTIONS + sizeOfOptions(identification(message, server)) + sizeOfOptions(needed)
    return [...needed, ...parameters(message, lease, limit - taken)]
  }
  // Section 18.4: we never allow clients to use our own address.
  // RFC 8415 18.4 MUST: a unicast message of a client that was not allowed to is answered by "use multicast"
  if (!wasMulticast) return reply([status(Status.useMulticast)])

  switch (message.type) {
    case Type.solicit: {
      const given = associationsFor(message, lease)
      // RFC 8415 21.14 MUST: a reply to a solicit has the rapid commit option
      if (message.rapidCommit && lease.guestAddress !== undefined) {
        return reply(withParameters({ code: Option.rapidCommit, value: new Uint8Array() }, ...given))
      }
      const preference = { code: Option.preference, value: Uint8Array.of(HIGHEST_PREFERENCE) }
      return reply(withParameters(preference, ...given), Type.advertise)
    }
    case Type.request:
    case Type.renew:
    case Type.rebind:
      return reply(withParameters(...associationsFor(message, lease)))
    case Type.confirm:
      return answerConfirm(message, lease, reply)
    case Type.release:
      // RFC 8415 18.3.7 MUST: a release is answered with success, and "no binding" for associations that are not known
      return reply([status(Status.success), ...unknownBindings(message, lease)])
    case Type.decline: {
      // RFC 8415 18.3.8 MUST: so is a decline
      const answer = reply([status(Status.success), ...unknownBindings(message, lease)])
      return {
        ...answer,
        description: `received DECLINE as ${lease.guestAddress} is in use, sending REPLY`,
        isWarning: true,
      }
    }
    default:
      return reply(withParameters())
  }
}

/** Section 16: checks the options that a message must have or must not have. */
function findRefusal(message: Dhcpv6Message): Dhcpv6Refusal | undefined {
  if (message.type === Type.informationRequest) {
    // RFC 8415 16.12 MUST: an information request with an association is discarded
    return message.associations.length > 0 ? "address in an information request" : undefined
  }
  // RFC 8415 16.2 (client) MUST: a message without a client identifier is discarded
  if (message.clientIdentifier === undefined) return "no client identifier"
  const namesServer = NAMES_SERVER.get(message.type)
  // RFC 8415 16.4 MUST: a request without a server identifier is discarded
  // RFC 8415 16.6 MUST: so is a renew
  // RFC 8415 16.8 MUST: so is a decline
  // RFC 8415 16.9 MUST: so is a release
  if (namesServer === true && message.serverIdentifier === undefined) return "no server identifier"
  // RFC 8415 16.2 MUST: a solicit with a server identifier is discarded
  // RFC 8415 16.5 MUST: so is a confirm
  // RFC 8415 16.7 MUST: so is a rebind
  if (namesServer === false && message.serverIdentifier !== undefined) return "unexpected server identifier"
  return undefined
}

/** Section 18.3.3: says if the client's addresses belong to this link. */
function answerConfirm(
  { associations }: Dhcpv6Message,
  { guestAddress }: Dhcpv6Lease,
  reply: (options: readonly Dhcpv6OptionValue[]) => Dhcpv6Answer,
): Dhcpv6Answer {
  const addresses = associations.flatMap((association) => association.addresses)
  // RFC 8415 18.3.3 (silence) MUST NOT: a confirm without addresses, or that the server can't check, is not answered
  if (addresses.length === 0 || guestAddress === undefined) {
    return { kind: "silent", description: "received CONFIRM, sending nothing" }
  }
  // RFC 8415 18.3.3 MUST: a confirm is answered with "not on link" if one address does not belong to the link, else
  //   with success
  return reply([status(areOnLink(addresses, guestAddress) ? Status.success : Status.notOnLink)])
}

function areOnLink(addresses: readonly Address[], guestAddress: Address): boolean {
  return addresses.every((address) => address.sharesPrefix(guestAddress, PREFIX_LENGTH))
}

/**
 * Sections 18.3.2 to 18.3.5: assigns the address to the first association that requests one. A client's other addresses
 * end by lifetimes of zero.
 */
function associationsFor(message: Dhcpv6Message, { guestAddress }: Dhcpv6Lease): Dhcpv6OptionValue[] {
  let remaining = guestAddress
  return message.associations.map((association) => {
    if (association.kind !== "addresses") return emptyAssociation(association)
    // Section 18.3.2: a client that requests addresses from elsewhere must start over.
    if (
      message.type === Type.request &&
      guestAddress !== undefined &&
      !areOnLink(association.addresses, guestAddress)
    ) {
      // RFC 8415 18.3.2 MUST: a request with an address of another link gets "not on link" for that association
      return associationOption(association, [status(Status.notOnLink)])
    }
    const given = remaining
    remaining = undefined
    const outdated = association.addresses.filter((address) => !given?.equals(address))
    const options = [
      // RFC 8415 18.3.2 (none) MUST: an association for which there is no address gets "no addresses available"
      ...(given === undefined ? [status(Status.noAddressesAvailable)] : [addressOption(given, INFINITE)]),
      // A first request only hints at addresses; a client that holds addresses needs an answer about them.
      // RFC 8415 18.3.4 MUST: addresses that a client shall not use any more are returned with lifetimes of 0
      // RFC 8415 18.3.5 MAY: so for a rebind
      ...(hasBinding(message.type) ? outdated.map((address) => addressOption(address, 0)) : []),
    ]
    return associationOption(association, options)
  })
}

function hasBinding(type: number): boolean {
  return type === Type.renew || type === Type.rebind
}

/** Refuses temporary addresses and prefixes. */
function emptyAssociation(association: Association): Dhcpv6OptionValue {
  // RFC 8415 18.3.2 (prefixes) MUST: a request for prefixes gets "no prefix available" where there are none
  const isPrefix = association.kind === "prefixes"
  return associationOption(association, [status(isPrefix ? Status.noPrefixAvailable : Status.noAddressesAvailable)])
}

/** Sections 18.3.7 and 18.3.8: returns the associations of a release or decline that are unknown to us. */
function unknownBindings(message: Dhcpv6Message, { guestAddress }: Dhcpv6Lease): Dhcpv6OptionValue[] {
  const unknown = message.associations.filter(
    (association) => !association.addresses.some((address) => guestAddress?.equals(address)),
  )
  return unknown.map((association) => associationOption(association, [status(Status.noBinding)]))
}

function associationOption(association: Association, options: readonly Dhcpv6OptionValue[]): Dhcpv6OptionValue {
  if (association.kind === "temporary addresses") {
    return { code: Option.temporaryAssociation, value: nestOptions(words(association.identity), options) }
  }
  const code = association.kind === "prefixes" ? Option.prefixDelegation : Option.identityAssociation
  // RFC 8415 21.4 SHOULD: an address that lasts for ever needs no renewal: both times of renewal are infinite
  const renewal = association.kind === "prefixes" ? 0 : INFINITE
  return { code, value: nestOptions(words(association.identity, renewal, renewal), options) }
}

/** @param lifetime preferred and valid, seconds */
function addressOption(address: Address, lifetime: number): Dhcpv6OptionValue {
  return { code: Option.address, value: Uint8Array.of(...address.toBytes(), ...words(lifetime, lifetime)) }
}

function status(code: number): Dhcpv6OptionValue {
  return { code: Option.statusCode, value: Uint8Array.of(code >>> 8, code & 0xff) }
}

function identification(message: Dhcpv6Message, server: Uint8Array): Dhcpv6OptionValue[] {
  const client = message.clientIdentifier
  return [
    // RFC 8415 18.3.9 (server) MUST: each answer has our server identifier
    { code: Option.serverIdentifier, value: server },
    // RFC 8415 18.3.9 (client) MUST: each answer has the client identifier of the message
    ...(client === undefined ? [] : [{ code: Option.clientIdentifier, value: client }]),
  ]
}

/** Returns the configured parameters that the client requested; lists are shortened to the room behind the name. */
function parameters(message: Dhcpv6Message, lease: Dhcpv6Lease, room: number): Dhcpv6OptionValue[] {
  const { nameServers = [], searchDomains = [], fqdn } = lease
  const { requestedOptions } = message
  const options: Dhcpv6OptionValue[] = []
  const add = (code: number, value: Uint8Array) => {
    // RFC 8415 21.7 SHOULD: an answer has the configured options that the client requests
    const isAsked = requestedOptions?.includes(code) ?? true
    if (isAsked && value.length > 0) options.push({ code, value })
  }
  const left = () => Math.max(0, room - sizeOfOptions(options) - OPTION_HEADER_LENGTH)
  // RFC 4704, section 6: we never update the DNS; the answer says so to a client that wants us to.
  if (fqdn !== undefined) {
    const overridden = message.fqdn !== undefined && (message.fqdn[0] & FqdnFlag.server) !== 0
    const flags = FqdnFlag.noUpdate | (overridden ? FqdnFlag.overridden : 0)
    const value = Uint8Array.of(flags, ...encodeDomainNames([fqdn]))
    if (message.fqdn !== undefined) options.push({ code: Option.clientFqdn, value })
    else add(Option.clientFqdn, value)
  }
  const fitting = nameServers.slice(0, Math.min(nameServers.length, Math.floor(left() / V6_ADDRESS_LENGTH)))
  add(Option.nameServers, Uint8Array.from(fitting.flatMap((server) => [...server.toBytes()])))
  // RFC 8415 10 MUST NOT: domain names are not compressed
  add(Option.domainList, encodeDomainNames(searchDomains, false, left()))
  return options
}

function sameBytes(first: Uint8Array, second: Uint8Array): boolean {
  return first.length === second.length && first.every((byte, index) => byte === second[index])
}
