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

/**
 * What is configured, those that the client asked for first, in its order (RFC 2132, section 9.8). The rest follows as far
 * as there is room: some clients use an MTU, say, that they didn't ask for. A list of search domains that is too long
 * for what is left is cut short.
 *
 * @param room in the options field, bytes
 */
export function leaseParameters(request: Dhcpv4Message, lease: Dhcpv4Lease, room: number): Dhcpv4OptionValue[] {
  const options = otherParameters(request, lease)
  const left = room - options.reduce((sum, option) => sum + encodedLength(option.value.length), 0)
  const searchDomains = searchList(lease, left)
  if (searchDomains.length > 0) options.push({ code: Option.domainSearch, value: searchDomains })
  // There are 256 codes, however often a client repeats them.
  const asked = [...new Set(request.options.get(Option.parameterRequestList))]
  const rank = (code: number) => (asked.includes(code) ? asked.indexOf(code) : asked.length)
  return options.sort((first, second) => rank(first.code) - rank(second.code))
}

/** RFC 3397. */
function searchList({ searchDomains = [] }: Dhcpv4Lease, room: number): Uint8Array {
  let length = room
  while (length > 0 && encodedLength(length) > room) length--
  return encodeDomainNames(searchDomains, true, length)
}

function otherParameters(request: Dhcpv4Message, lease: Dhcpv4Lease): Dhcpv4OptionValue[] {
  const { gateway, mtu, nameServers = [], hostname } = lease
  const options: Dhcpv4OptionValue[] = []
  const add = (code: number, value: Uint8Array | undefined) => {
    if (value !== undefined && value.length > 0) options.push({ code, value })
  }
  add(Option.subnetMask, words(lease.prefixLength === 0 ? 0 : -1 << (32 - lease.prefixLength)))
  add(Option.classlessStaticRoutes, routesTo(lease))
  add(Option.router, gateway?.toBytes())
  add(Option.nameServers, Uint8Array.from(nameServers.flatMap((server) => [...server.toBytes()])))
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
