/** What a router advertisement says, and its bytes (RFC 4861, section 4.2; RFC 8106). It says the same each time. */
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

/** What is advertised to a guest about its network. */
export interface RouterAdvertisement {
  /** Any address of the prefix from which the guest makes itself addresses, 64 bits long; undefined: none. */
  readonly prefix?: Address | undefined
  /** Bytes; below 1280, which IPv6 needs, nothing is said. */
  readonly mtu?: number | undefined
  readonly nameServers?: readonly Address[]
  readonly searchDomains?: readonly string[]
  /** False if the guest shouldn't send us what it has no route for. True if not given. */
  readonly isDefaultRouter?: boolean
  /** True if DHCPv6 has addresses. False if not given. */
  readonly hasManagedAddresses?: boolean
  /** True if DHCPv6 has other configuration. False if not given. */
  readonly hasOtherConfiguration?: boolean
}

const INFINITE = 0xffffffff
/** The longest there is (RFC 8319, section 3), seconds: we are there as long as the link is. */
const LIFETIME = 0xffff
/** For what the guest sends (the number that RFC 1700 names). */
const GUEST_HOP_LIMIT = 64
const PREFIX_LENGTH = 64
/** RFC 8200, section 5, bytes. */
const MINIMUM_MTU = 1280
const IPV6_HEADER_LENGTH = 40
/** Fields in front of the addresses and domains of the DNS options: type, length, reserved, lifetime. */
const DNS_OPTION_FIELDS = 8

/** The message, its checksum zero. What would make it longer than the smallest MTU is left out, last things first. */
export function encodeRouterAdvertisement(advertisement: RouterAdvertisement, ourMac: MacAddress): Uint8Array {
  const { isDefaultRouter = true, hasManagedAddresses = false, hasOtherConfiguration = false } = advertisement
  const header = new Uint8Array(ROUTER_OPTIONS)
  header[0] = Icmpv6Type.routerAdvertisement
  header[ROUTER_HOP_LIMIT] = GUEST_HOP_LIMIT
  header[ROUTER_FLAGS] =
    (hasManagedAddresses ? RouterFlag.managed : 0) | (hasOtherConfiguration ? RouterFlag.otherConfiguration : 0)
  // Reachable time and retransmission timer stay zero: the guest may choose.
  new DataView(header.buffer).setUint16(ROUTER_LIFETIME, isDefaultRouter ? LIFETIME : 0)
  const bytes = [...header, ...sourceLinkLayerOption(ourMac)]
  const { mtu, prefix, nameServers = [], searchDomains = [] } = advertisement
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
  const network = [...prefix.toBytes().subarray(0, PREFIX_LENGTH / 8), ...new Array<number>(8).fill(0)]
  const flags = PrefixFlag.onLink | PrefixFlag.autonomous
  const lifetimes = [...word(INFINITE), ...word(INFINITE)]
  return [NdpOption.prefixInformation, 4, PREFIX_LENGTH, flags, ...lifetimes, 0, 0, 0, 0, ...network]
}

/** RFC 8106, section 5.1. */
function nameServerOption(servers: readonly Address[], room: number): number[] {
  const fitting = servers.slice(0, Math.max(0, Math.floor((room - DNS_OPTION_FIELDS) / 16)))
  if (fitting.length === 0) return []
  const addresses = fitting.flatMap((server) => [...server.toBytes()])
  return [NdpOption.recursiveDnsServer, 1 + fitting.length * 2, 0, 0, ...word(INFINITE), ...addresses]
}

/** RFC 8106, section 5.2: names in wire form, one behind the other, filled up with zeros. */
function searchListOption(domains: readonly string[], room: number): number[] {
  const names: number[] = []
  // The length field counts up to 255 units.
  const limit = Math.min(room & -OPTION_UNIT, 255 * OPTION_UNIT) - DNS_OPTION_FIELDS
  for (const domain of domains) {
    const name = encodeName(domain)
    if (name !== undefined && names.length + name.length <= limit) names.push(...name)
  }
  if (names.length === 0) return []
  while (names.length % OPTION_UNIT !== 0) names.push(0)
  return [NdpOption.dnsSearchList, 1 + names.length / OPTION_UNIT, 0, 0, ...word(INFINITE), ...names]
}

/** A domain name in wire form (RFC 1035, section 3.1), uncompressed; undefined for what is none. */
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
