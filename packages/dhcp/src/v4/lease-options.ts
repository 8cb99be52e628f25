/** The lease of a client, and its encoding as options. */
import { Address } from "@demiflow/core"
import { asciiBytes, words } from "../bytes.ts"
import { encodeDomainNames } from "../domain-name.ts"
import { type Dhcpv4Message, type Dhcpv4OptionValue, encodedLength } from "./packet.ts"
import { Dhcpv4Option as Option } from "./wire.ts"

/** The address and parameters that the client gets. */
export interface Dhcpv4Lease {
  readonly guestAddress: Address
  /** 0–32. */
  readonly prefixLength: number
  /** Our own address on the link: the server identifier, and the source address of replies. */
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

const NOTHING = Address.fromV4(0)
/** RFC 4702, section 2.1. */
const FqdnFlag = { server: 0x01, overridden: 0x02, wireForm: 0x04, noUpdate: 0x08 } as const
const FQDN_RESULT_CODE = 255
/** Maximum length of a value, bytes: what its length field can count. */
const LONGEST_OPTION = 255

/**
 * Returns the configured parameters, with those that the client requested first, in its order (RFC 2132, section 9.8).
 * The others follow if there is room: some clients use an MTU, say, that they didn't request. A list of name servers or
 * search domains that is too long for the remaining room is shortened.
 *
 * @param room in the options field, bytes
 */
export function leaseParameters(request: Dhcpv4Message, lease: Dhcpv4Lease, room: number): Dhcpv4OptionValue[] {
  const options = otherParameters(request, lease)
  // There are only 256 codes, however often a client repeats them.
  const asked = [...new Set(request.options.get(Option.parameterRequestList))]
  addLists(options, lease, room)
  const rank = (code: number) => (asked.includes(code) ? asked.indexOf(code) : asked.length)
  // RFC 2132 9.8 MUST: options are inserted in the order in which the client requests them
  return options.sort((first, second) => rank(first.code) - rank(second.code))
}

/**
 * Returns the parameters for a BOOTP client: only those that are options of BOOTP as well (RFC 1534, section 2; RFC
 * 1497).
 *
 * @param room in the options field, bytes
 */
export function bootpParameters(lease: Dhcpv4Lease, room: number): Dhcpv4OptionValue[] {
  const options: Dhcpv4OptionValue[] = [{ code: Option.subnetMask, value: maskOf(lease) }]
  if (lease.gateway !== undefined) options.push({ code: Option.router, value: lease.gateway.toBytes() })
  addNameServers(options, lease, room)
  const hostname = lease.hostname === undefined ? undefined : asciiBytes(lease.hostname)
  const fits = hostname !== undefined && lengthOf(options) + encodedLength(hostname.length) <= room
  if (fits) options.push({ code: Option.hostName, value: hostname })
  return options
}

/** Adds the lists, shortened to the room behind the other options. */
function addLists(options: Dhcpv4OptionValue[], lease: Dhcpv4Lease, room: number): void {
  addNameServers(options, lease, room)
  const { searchDomains = [] } = lease
  let length = room - lengthOf(options)
  while (length > 0 && encodedLength(length) > room - lengthOf(options)) length--
  // RFC 3397, section 2: clients that know this option can join a value that is split over several options (RFC 3396).
  const value = encodeDomainNames(searchDomains, true, length)
  if (value.length > 0) options.push({ code: Option.domainSearch, value })
}

/** Adds the name servers, in a single option: clients use no more than a few. */
function addNameServers(options: Dhcpv4OptionValue[], { nameServers = [] }: Dhcpv4Lease, room: number): void {
  const left = Math.min(room - lengthOf(options) - encodedLength(0), LONGEST_OPTION)
  const fitting = nameServers.slice(0, Math.max(0, Math.floor(left / 4)))
  const value = Uint8Array.from(fitting.flatMap((server) => [...server.toBytes()]))
  if (value.length > 0) options.push({ code: Option.nameServers, value })
}

function lengthOf(options: readonly Dhcpv4OptionValue[]): number {
  return options.reduce((sum, option) => sum + encodedLength(option.value.length), 0)
}

function maskOf({ prefixLength }: Dhcpv4Lease): Uint8Array {
  return words(prefixLength === 0 ? 0 : -1 << (32 - prefixLength))
}

function otherParameters(request: Dhcpv4Message, lease: Dhcpv4Lease): Dhcpv4OptionValue[] {
  const { gateway, mtu, hostname } = lease
  const options: Dhcpv4OptionValue[] = []
  const add = (code: number, value: Uint8Array | undefined) => {
    if (value !== undefined && value.length > 0) options.push({ code, value })
  }
  add(Option.subnetMask, maskOf(lease))
  add(Option.classlessStaticRoutes, routesTo(lease))
  add(Option.router, gateway?.toBytes())
  add(Option.interfaceMtu, mtu === undefined ? undefined : Uint8Array.of(mtu >>> 8, mtu & 0xff))
  add(Option.hostName, hostname === undefined ? undefined : asciiBytes(hostname))
  add(Option.clientFqdn, fqdnOption(request, lease))
  return options
}

/**
 * RFC 3442: a gateway outside the guest's subnet needs an on-link route of its own before it can be the default
 * gateway. Clients that know this option ignore the router option, so it repeats the default route.
 */
function routesTo({ gateway, guestAddress, prefixLength }: Dhcpv4Lease): Uint8Array | undefined {
  if (gateway === undefined || guestAddress.sharesPrefix(gateway, prefixLength)) return undefined
  const onLink = [32, ...gateway.toBytes(), ...NOTHING.toBytes()]
  const byDefault = [0, ...gateway.toBytes()]
  return Uint8Array.of(...onLink, ...byDefault)
}

/** RFC 4702, section 4: the guest's name. We never update the DNS; the answer says so to a client that wants us to. */
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
