/** What there is to give to a client, and the options that say so. */
import { Address } from "@demiflow/core"
import { asciiBytes, words } from "../bytes.ts"
import { encodeDomainNames } from "../domain-name.ts"
import { type Dhcpv4Message, type Dhcpv4OptionValue, encodedLength } from "./packet.ts"
import { Dhcpv4Option as Option } from "./wire.ts"

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

const NOTHING = Address.fromV4(0)
/** RFC 4702, section 2.1. */
const FqdnFlag = { server: 0x01, overridden: 0x02, wireForm: 0x04, noUpdate: 0x08 } as const
const FQDN_RESULT_CODE = 255
/** Bytes of a value that its length field counts. */
const LONGEST_OPTION = 255

/**
 * What is configured, those that the client asked for first, in its order (RFC 2132, section 9.8). The rest follows as far
 * as there is room: some clients use an MTU, say, that they didn't ask for. A list of name servers or search domains that
 * is too long for what is left is cut short.
 *
 * @param room in the options field, bytes
 */
export function leaseParameters(request: Dhcpv4Message, lease: Dhcpv4Lease, room: number): Dhcpv4OptionValue[] {
  const options = otherParameters(request, lease)
  // There are 256 codes, however often a client repeats them.
  const asked = [...new Set(request.options.get(Option.parameterRequestList))]
  addLists(options, lease, room)
  const rank = (code: number) => (asked.includes(code) ? asked.indexOf(code) : asked.length)
  return options.sort((first, second) => rank(first.code) - rank(second.code))
}

/**
 * What a BOOTP client is given: of the options only those that BOOTP has as well (RFC 1534, section 2; RFC 1497).
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

/** Lists, as much of them as there is room for behind the other options. */
function addLists(options: Dhcpv4OptionValue[], lease: Dhcpv4Lease, room: number): void {
  addNameServers(options, lease, room)
  const { searchDomains = [] } = lease
  let length = room - lengthOf(options)
  while (length > 0 && encodedLength(length) > room - lengthOf(options)) length--
  // RFC 3397, section 2: clients that know this option put together what doesn't fit one (RFC 3396).
  const value = encodeDomainNames(searchDomains, true, length)
  if (value.length > 0) options.push({ code: Option.domainSearch, value })
}

/** In one option: nobody asks more than a few of them. */
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
 * RFC 3442: a gateway outside of the guest's subnet needs a route of its own, on link, before it can be the default. Clients
 * that know this option ignore the router option, so the default route is repeated.
 */
function routesTo({ gateway, guestAddress, prefixLength }: Dhcpv4Lease): Uint8Array | undefined {
  if (gateway === undefined || guestAddress.sharesPrefix(gateway, prefixLength)) return undefined
  const onLink = [32, ...gateway.toBytes(), ...NOTHING.toBytes()]
  const byDefault = [0, ...gateway.toBytes()]
  return Uint8Array.of(...onLink, ...byDefault)
}

/** RFC 4702, section 4: the guest's name. Nobody updates the DNS; the answer says so to a client that wants us to. */
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
