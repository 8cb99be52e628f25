/** The contents of a router advertisement, and their encoding (RFC 4861, section 4.2; RFC 8106). */
import { type Address, Icmpv6Type, type MacAddress } from "@demiflow/core"
import {
  NdpOption,
  OPTION_UNIT,
  PrefixFlag,
  ROUTER_FLAGS,
  ROUTER_HOP_LIMIT,
  ROUTER_LIFETIME,
  ROUTER_OPTIONS,
  RouterFlag,
} from "./wire.ts"

/** What we advertise to a guest about its network. */
export interface RouterAdvertisement {
  /** Any address of the 64-bit prefix from which the guest forms its addresses; undefined: no prefix is advertised. */
  readonly prefix?: Address | undefined
  /** Bytes; no MTU is advertised if it is below 1280, the minimum of IPv6. */
  readonly mtu?: number | undefined
  readonly nameServers?: readonly Address[]
  readonly searchDomains?: readonly string[]
  /** False if the guest shouldn't use us as default route. True by default. */
  readonly isDefaultRouter?: boolean
  /** True if DHCPv6 assigns addresses. False by default. */
  readonly hasManagedAddresses?: boolean
  /** True if DHCPv6 has other configuration. False by default. */
  readonly hasOtherConfiguration?: boolean
}

const INFINITE = 0xffffffff
/** The longest lifetime there is (RFC 8319, section 3), seconds: we are there as long as the link is. */
const LIFETIME = 0xffff
/** The hop limit that the guest should use (the number that RFC 1700 names). */
const GUEST_HOP_LIMIT = 64
const PREFIX_LENGTH = 64
/** RFC 8200, section 5, bytes. */
const MINIMUM_MTU = 1280
const IPV6_HEADER_LENGTH = 40
/** Bytes before the addresses and domains of the DNS options: type, length, reserved, lifetime. */
const DNS_OPTION_FIELDS = 8

/**
 * Returns the message, its checksum zero. Name servers and search domains that don't fit the smallest MTU are left out.
 */
export function encodeRouterAdvertisement(advertisement: RouterAdvertisement, ourMac: MacAddress): Uint8Array {
  const { isDefaultRouter = true, hasManagedAddresses = false, hasOtherConfiguration = false } = advertisement
  const header = new Uint8Array(ROUTER_OPTIONS)
  header[0] = Icmpv6Type.routerAdvertisement
  header[ROUTER_HOP_LIMIT] = GUEST_HOP_LIMIT
  header[ROUTER_FLAGS] =
    (hasManagedAddresses ? RouterFlag.managed : 0) | (hasOtherConfiguration ? RouterFlag.otherConfiguration : 0)
  // Reachable time and retransmission timer stay zero: the guest may choose.
  // RFC 4861 4.2 (lifetime) MUST: the lifetime is 0 where the router is no default router
  new DataView(header.buffer).setUint16(ROUTER_LIFETIME, isDefaultRouter ? LIFETIME : 0)
  const bytes = [...header, ...sourceLinkLayerOption(ourMac)]
  const { mtu, prefix, nameServers = [], searchDomains = [] } = advertisement
  // RFC 8200 5 (mtu) MUST: no link has an MTU below 1280, so none is advertised
  if (mtu !== undefined && mtu >= MINIMUM_MTU) bytes.push(NdpOption.mtu, 1, 0, 0, ...word(mtu))
  if (prefix !== undefined) bytes.push(...prefixOption(prefix))
  const room = () => MINIMUM_MTU - IPV6_HEADER_LENGTH - bytes.length
  bytes.push(...nameServerOption(nameServers, room()))
  bytes.push(...searchListOption(searchDomains, room()))
  return Uint8Array.from(bytes)
}

function sourceLinkLayerOption(mac: MacAddress): number[] {
  const address = new Uint8Array(6)
  mac.write(new DataView(address.buffer), 0)
  return [NdpOption.sourceLinkLayer, 1, ...address]
}

function prefixOption(prefix: Address): number[] {
  // RFC 4861 4.6.2 MUST: the bits behind the prefix are zero
  const network = [...prefix.toBytes().subarray(0, PREFIX_LENGTH / 8), ...new Array<number>(8).fill(0)]
  const flags = PrefixFlag.onLink | PrefixFlag.autonomous
  // RFC 4861 6.2.1 MUST: a preferred lifetime is no longer than the valid one
  const lifetimes = [...word(INFINITE), ...word(INFINITE)]
  return [NdpOption.prefixInformation, 4, PREFIX_LENGTH, flags, ...lifetimes, 0, 0, 0, 0, ...network]
}

/** RFC 8106, section 5.1. */
function nameServerOption(servers: readonly Address[], room: number): number[] {
  const fitting = servers.slice(0, Math.max(0, Math.floor((room - DNS_OPTION_FIELDS) / 16)))
  if (fitting.length === 0) return []
  const addresses = fitting.flatMap((server) => [...server.toBytes()])
  // RFC 8106 5.1 MUST: the length of the option says how many name servers it has
  return [NdpOption.recursiveDnsServer, 1 + fitting.length * 2, 0, 0, ...word(INFINITE), ...addresses]
}

/** RFC 8106, section 5.2: names in wire form, one behind the other, padded with zeros. */
function searchListOption(domains: readonly string[], room: number): number[] {
  const names: number[] = []
  // The length field counts up to 255 units.
  const limit = Math.min(room & -OPTION_UNIT, 255 * OPTION_UNIT) - DNS_OPTION_FIELDS
  for (const domain of domains) {
    const name = encodeName(domain)
    if (name !== undefined && names.length + name.length <= limit) names.push(...name)
  }
  if (names.length === 0) return []
  // RFC 8106 5.2 MUST: domain names are filled up with zeros to a multiple of eight bytes
  while (names.length % OPTION_UNIT !== 0) names.push(0)
  return [NdpOption.dnsSearchList, 1 + names.length / OPTION_UNIT, 0, 0, ...word(INFINITE), ...names]
}

/** Returns a domain name in wire form (RFC 1035, section 3.1), uncompressed; undefined if it isn't a valid name. */
function encodeName(name: string): number[] | undefined {
  const labels = name.replace(/\.$/, "").split(".")
  // In ASCII, characters are bytes.
  if (!/^[\x21-\x7e]+$/.test(name) || labels.some((label) => label.length < 1 || label.length > 63)) return undefined
  const bytes = labels.flatMap((label) => [label.length, ...Array.from(label, (character) => character.charCodeAt(0))])
  return bytes.length < 255 ? [...bytes, 0] : undefined
}

function word(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff]
}
