/** The addresses on the guest's link, for each version of IP: from the options, or from the layout of QEMU's slirp. */
import { Address } from "@demiflow/core"
import { optionError } from "./gateway-error.ts"

/** An address, or its text. */
export type AddressLike = Readonly<Address> | string

/** Addresses of one version of IP. What is left out follows from the network. */
export interface NetworkOptions {
  /** Network and prefix length, such as `10.0.2.0/24`. An IPv6 network has 64 bits. */
  readonly network?: string
  /** The guest's; the network's 15th address if not given. */
  readonly guest?: AddressLike
  /** The gateway's, which leads to the host's loopback; the network's 2nd address if not given. */
  readonly gateway?: AddressLike
  /** Where the guest finds a name server; the network's 3rd address if not given. */
  readonly dns?: AddressLike
}

/** The addresses of one version of IP. */
export interface Network {
  readonly guest: Address
  readonly gateway: Address
  readonly dns: Address
  readonly prefixLength: number
}

const DEFAULT_NETWORK_V4 = "10.0.2.0/24"
const DEFAULT_NETWORK_V6 = "fd9a:559a:559a:2::/64"
const V6_PREFIX_LENGTH = 64
const LONGEST_PREFIX_V4 = 30
const GATEWAY_HOST = 0x02
const DNS_HOST = 0x03
/** Its text ends with 15 in both versions. */
const GUEST_HOST = { v4: 15, v6: 0x15 }

/** Resolves the addresses of IPv4. Throws a `GatewayError`. */
export function resolveV4(options: NetworkOptions): Network {
  return resolve("v4", options, options.network ?? DEFAULT_NETWORK_V4)
}

/** Resolves the addresses of IPv6. Throws a `GatewayError`. */
export function resolveV6(options: NetworkOptions): Network {
  return resolve("v6", options, options.network ?? DEFAULT_NETWORK_V6)
}

function resolve(version: "v4" | "v6", options: NetworkOptions, text: string): Network {
  const { base, prefixLength } = parseNetwork(version, text)
  const pick = (name: "guest" | "gateway" | "dns", host: number): Address => {
    const chosen = toAddress(`${version}.${name}`, options[name] ?? offset(base, host))
    if (chosen.sharesPrefix(base, prefixLength) && chosen.isUnicast && !isReserved(chosen, prefixLength)) return chosen
    throw optionError(`${version}.${name} is ${chosen}: it must be an address of ${text}`)
  }
  const guest = pick("guest", GUEST_HOST[version])
  const gateway = pick("gateway", GATEWAY_HOST)
  const dns = pick("dns", DNS_HOST)
  if (guest.equals(gateway) || guest.equals(dns)) {
    throw optionError(`${version}.guest is ${guest}: the gateway or the name server has that address`)
  }
  return { guest, gateway, dns, prefixLength }
}

/** Parses an address of the options. */
export function toAddress(name: string, value: AddressLike): Address {
  if (value instanceof Address) return value.clone()
  const address = typeof value === "string" ? Address.tryParse(value) : undefined
  if (address === undefined) throw optionError(`${name} is ${JSON.stringify(value)}: it must be an IP address`)
  return address
}

function parseNetwork(version: "v4" | "v6", text: string): { base: Address; prefixLength: number } {
  const [, start = "", length = ""] = /^([^/]*)\/(\d{1,3})$/.exec(String(text)) ?? []
  const base = Address.tryParse(start)
  const prefixLength = Number(length)
  const isV4 = version === "v4"
  const isLong = isV4 ? prefixLength >= 1 && prefixLength <= LONGEST_PREFIX_V4 : prefixLength === V6_PREFIX_LENGTH
  if (base !== undefined && base.isV4 === isV4 && base.isUnicast && isLong && hostPart(base, prefixLength) === 0) {
    return { base, prefixLength }
  }
  const example = isV4 ? `a network such as ${DEFAULT_NETWORK_V4}` : `a /64 such as ${DEFAULT_NETWORK_V6}`
  throw optionError(`${version}.network is ${JSON.stringify(text)}: it must be ${example}`)
}

/** The last 32 bits of an address, without those of its network. An IPv6 network ends before them. */
function hostPart({ isV4, word3 }: Address, prefixLength: number): number {
  return isV4 ? word3 & hostMask(prefixLength) : word3
}

function hostMask(prefixLength: number): number {
  return 0xffff_ffff >>> prefixLength
}

/** True for the address of an IPv4 network itself, and for its broadcast address (RFC 1122, section 3.2.1.3). */
function isReserved(address: Address, prefixLength: number): boolean {
  const part = hostPart(address, prefixLength)
  return address.isV4 && (part === 0 || part === hostMask(prefixLength))
}

/** The address that is this number above the start of a network. */
function offset(base: Address, host: number): Address {
  const address = base.clone()
  address.word3 = (base.word3 + host) | 0
  return address
}
