/**
 * What a server with a single address to give answers a client (RFC 8415, sections 16 and 18.3). Pure: a message and what
 * there is to give in, an answer out.
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

/** What there is to give. */
export interface Dhcpv6Lease {
  /** Undefined: there are parameters to give, but no address. */
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
  /** Those that matter most first. */
  readonly options: readonly Dhcpv6OptionValue[]
  /** For the log: `received SOLICIT, sending ADVERTISE`. */
  readonly description: string
  readonly isWarning?: boolean
}

export type Dhcpv6Answer =
  | Dhcpv6Reply
  /** Nothing to answer, and nothing wrong. */
  | { readonly kind: "silent"; readonly description: string }
  /** A message that no client should send, or not like this. */
  | { readonly kind: "refused"; readonly reason: Dhcpv6Refusal }

export type Dhcpv6Refusal =
  | "message type"
  | "no client identifier"
  | "no server identifier"
  | "unexpected server identifier"
  | "address in an information request"
  | "unicast"

/** We have one guest, and it may keep its address for good. */
const INFINITE = 0xffffffff
/** The client need not wait for other servers (RFC 8415, section 18.2.9). */
const HIGHEST_PREFERENCE = 255
const V6_ADDRESS_LENGTH = 16
/** Bits of an address that name the link. */
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

/** Whether a message must name the server it is for (RFC 8415, section 16). */
const NAMES_SERVER: ReadonlyMap<number, boolean> = new Map([
  [Type.solicit, false],
  [Type.request, true],
  [Type.confirm, false],
  [Type.renew, true],
  [Type.rebind, false],
  [Type.release, true],
  [Type.decline, true],
])

/** What a client may say to one server alone, once a server has allowed that (sections 18.2.2, 18.2.4, 18.2.7, 18.2.8). */
const UNICAST_TYPES: ReadonlySet<number> = new Set([Type.request, Type.renew, Type.release, Type.decline])

/** The server's identifier, from our Ethernet address (section 11.4). */
export function serverIdentifier(ourMac: MacAddress): Uint8Array {
  const bytes = new Uint8Array(10)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, DUID_LINK_LAYER)
  view.setUint16(2, HARDWARE_ETHERNET)
  ourMac.write(view, 4)
  return bytes
}

/**
 * Answers a message from a client.
 *
 * @param server our identifier
 * @param wasMulticast false if the message came to an address of ours, which none should
 * @param limit bytes that the answer may have: what is configured is cut short to fit
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
  if (!wasMulticast && !UNICAST_TYPES.has(message.type)) return { kind: "refused", reason: "unicast" }
  const refusal = findRefusal(message)
  if (refusal !== undefined) return { kind: "refused", reason: refusal }
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
  // Section 18.4: we never say that clients may use our own address.
  if (!wasMulticast) return reply([status(Status.useMulticast)])

  switch (message.type) {
    case Type.solicit: {
      const given = associationsFor(message, lease)
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
      return reply([status(Status.success), ...unknownBindings(message, lease)])
    case Type.decline: {
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

/** Section 16: what a message must have and must not have. */
function findRefusal(message: Dhcpv6Message): Dhcpv6Refusal | undefined {
  if (message.type === Type.informationRequest) {
    return message.associations.length > 0 ? "address in an information request" : undefined
  }
  if (message.clientIdentifier === undefined) return "no client identifier"
  const namesServer = NAMES_SERVER.get(message.type)
  if (namesServer === true && message.serverIdentifier === undefined) return "no server identifier"
  if (namesServer === false && message.serverIdentifier !== undefined) return "unexpected server identifier"
  return undefined
}

/** Section 18.3.3: whether the client's addresses belong on this link. */
function answerConfirm(
  { associations }: Dhcpv6Message,
  { guestAddress }: Dhcpv6Lease,
  reply: (options: readonly Dhcpv6OptionValue[]) => Dhcpv6Answer,
): Dhcpv6Answer {
  const addresses = associations.flatMap((association) => association.addresses)
  if (addresses.length === 0 || guestAddress === undefined) {
    return { kind: "silent", description: "received CONFIRM, nothing to say" }
  }
  return reply([status(areOnLink(addresses, guestAddress) ? Status.success : Status.notOnLink)])
}

function areOnLink(addresses: readonly Address[], guestAddress: Address): boolean {
  return addresses.every((address) => address.sharesPrefix(guestAddress, PREFIX_LENGTH))
}

/**
 * Sections 18.3.2 to 18.3.5: the address to the first association that asks for one, and what a client has that isn't that
 * address is ended by lifetimes of zero.
 */
function associationsFor(message: Dhcpv6Message, { guestAddress }: Dhcpv6Lease): Dhcpv6OptionValue[] {
  let remaining = guestAddress
  return message.associations.map((association) => {
    if (association.kind !== "addresses") return emptyAssociation(association)
    // Section 18.3.2: a client that wants to keep what it has from elsewhere must begin anew.
    if (
      message.type === Type.request &&
      guestAddress !== undefined &&
      !areOnLink(association.addresses, guestAddress)
    ) {
      return associationOption(association, [status(Status.notOnLink)])
    }
    const given = remaining
    remaining = undefined
    const outdated = association.addresses.filter((address) => !given?.equals(address))
    const options = [
      ...(given === undefined ? [status(Status.noAddressesAvailable)] : [addressOption(given, INFINITE)]),
      // A client that asks for the first time only hints at addresses; one that has them needs an answer about them.
      ...(hasBinding(message.type) ? outdated.map((address) => addressOption(address, 0)) : []),
    ]
    return associationOption(association, options)
  })
}

function hasBinding(type: number): boolean {
  return type === Type.renew || type === Type.rebind
}

/** Temporary addresses and prefixes are not given. */
function emptyAssociation(association: Association): Dhcpv6OptionValue {
  const isPrefix = association.kind === "prefixes"
  return associationOption(association, [status(isPrefix ? Status.noPrefixAvailable : Status.noAddressesAvailable)])
}

/** Sections 18.3.7 and 18.3.8: associations of a release or decline that we know nothing of. */
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
  // With an address that lasts forever, there is no time to renew it (section 14.2).
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
    { code: Option.serverIdentifier, value: server },
    ...(client === undefined ? [] : [{ code: Option.clientIdentifier, value: client }]),
  ]
}

/** What is configured, and the client asked for: of the lists as much as there is room for behind the name. */
function parameters(message: Dhcpv6Message, lease: Dhcpv6Lease, room: number): Dhcpv6OptionValue[] {
  const { nameServers = [], searchDomains = [], fqdn } = lease
  const { requestedOptions } = message
  const options: Dhcpv6OptionValue[] = []
  const add = (code: number, value: Uint8Array) => {
    const isAsked = requestedOptions?.includes(code) ?? true
    if (isAsked && value.length > 0) options.push({ code, value })
  }
  const left = () => Math.max(0, room - sizeOfOptions(options) - OPTION_HEADER_LENGTH)
  // RFC 4704, section 6: nobody updates the DNS; the answer says so to a client that wants us to.
  if (fqdn !== undefined) {
    const overridden = message.fqdn !== undefined && (message.fqdn[0] & FqdnFlag.server) !== 0
    const flags = FqdnFlag.noUpdate | (overridden ? FqdnFlag.overridden : 0)
    const value = Uint8Array.of(flags, ...encodeDomainNames([fqdn]))
    if (message.fqdn !== undefined) options.push({ code: Option.clientFqdn, value })
    else add(Option.clientFqdn, value)
  }
  const fitting = nameServers.slice(0, Math.min(nameServers.length, Math.floor(left() / V6_ADDRESS_LENGTH)))
  add(Option.nameServers, Uint8Array.from(fitting.flatMap((server) => [...server.toBytes()])))
  add(Option.domainList, encodeDomainNames(searchDomains, false, left()))
  return options
}

function sameBytes(first: Uint8Array, second: Uint8Array): boolean {
  return first.length === second.length && first.every((byte, index) => byte === second[index])
}
