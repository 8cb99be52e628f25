/** Parses arguments of options. Each function returns undefined for an invalid argument. */
import { Address, MacAddress } from "@demiflow/core"

/** Smallest MTU that IPv4 works with (RFC 791, section 3.2), bytes. */
export const MINIMUM_MTU = 68
/** The largest MTU, bytes: the largest frame of a tap device without its header. */
const MAXIMUM_MTU = 65_521
/** The same rounded down to 32 bits. */
export const DEFAULT_MTU = 65_520
/** Where ip-netns(8) keeps its namespaces. */
const NETNS_FOLDER = "/run/netns"
/** The smallest log file that the existing program takes, bytes. */
const MINIMUM_LOG_SIZE = 40_960
/** Seconds: the longest time that a timer of Node can wait is 2³¹−1 milliseconds. */
const MAXIMUM_INTERVAL = 2_147_483
/** The kernel's `sun_path` without the terminating zero, bytes. */
const SOCKET_PATH_LENGTH = 107
/** The kernel's IFNAMSIZ without the terminating zero. */
const INTERFACE_NAME_LENGTH = 15
/** RFC 1035, section 3.1: 255 bytes with length bytes, hence 253 characters of text. */
const DOMAIN_LENGTH = 253
const LABEL_LENGTH = 63

/** A decimal number from `minimum` to `maximum`. */
export function parseNumber(text: string, minimum: number, maximum: number): number | undefined {
  if (!/^\d{1,10}$/.test(text)) return undefined
  const value = Number(text)
  return value >= minimum && value <= maximum ? value : undefined
}

/** A size of a log file, bytes. */
export function parseLogSize(text: string): number | undefined {
  return parseNumber(text, MINIMUM_LOG_SIZE, Number.MAX_SAFE_INTEGER)
}

/** A time, seconds. */
export function parseInterval(text: string): number | undefined {
  return parseNumber(text, 1, MAXIMUM_INTERVAL)
}

/** An inherited descriptor other than standard output and standard error, which are in use. */
export function parseDescriptor(text: string): number | undefined {
  return parseNumber(text, 0, 0) ?? parseNumber(text, 3, 0x7fff_ffff)
}

/** A path of a UNIX domain socket. */
export function parseSocketPath(text: string): string | undefined {
  const length = new TextEncoder().encode(text).length
  return length === 0 || length > SOCKET_PATH_LENGTH || text.includes("\0") ? undefined : text
}

/** A network namespace: a path, or a name of `ip netns`, which stands for a path. */
export function parseNamespacePath(text: string): string | undefined {
  if (text === "" || text === "." || text === ".." || text.includes("\0")) return undefined
  return text.includes("/") ? text : `${NETNS_FOLDER}/${text}`
}

/** The number of a process, as an operand: undefined for a command. */
export function parseProcessId(text: string): number | undefined {
  return /^\d+$/.test(text) ? Number(text) : undefined
}

/** An MTU, or 0. */
export function parseMtu(text: string): number | undefined {
  return parseNumber(text, 0, 0) ?? parseNumber(text, MINIMUM_MTU, MAXIMUM_MTU)
}

/** An external address of a host: unicast, not loopback. */
export function parseHostAddress(text: string): Address | undefined {
  const address = parseUnicast(text)
  return address === undefined || address.isLoopback ? undefined : address
}

/**
 * A unicast address, loopback included. An IPv4-mapped one is the IPv4 address that it stands for (RFC 4291, 2.5.5.2).
 */
export function parseUnicast(text: string): Address | undefined {
  const address = Address.tryParse(text)
  return address?.isUnicast ? address : undefined
}

/** An address, with its prefix length if it was given in CIDR notation. */
export interface AssignedAddress {
  readonly address: Address
  readonly prefixLength: number | undefined
}

/** An address with or without `/prefix length`. */
export function parseAssignedAddress(text: string): AssignedAddress | undefined {
  const slash = text.indexOf("/")
  const address = parseHostAddress(slash < 0 ? text : text.slice(0, slash))
  if (address === undefined) return undefined
  if (slash < 0) return { address, prefixLength: undefined }
  const prefixLength = parseNumber(text.slice(slash + 1), 0, address.isV4 ? 32 : 128)
  return prefixLength === undefined ? undefined : { address, prefixLength }
}

/** An IPv4 netmask as a number of bits or in dotted form: the prefix length. */
export function parseNetmask(text: string): number | undefined {
  if (!text.includes(".")) return parseNumber(text, 0, 32)
  const mask = Address.tryParse(text)
  if (mask === undefined) return undefined
  const prefixLength = Math.clz32(~mask.word3)
  return (prefixLength === 0 ? 0 : -1 << (32 - prefixLength)) === mask.word3 ? prefixLength : undefined
}

/** An Ethernet address of a single station: neither a group address nor zero. */
export function parseStationMac(text: string): MacAddress | undefined {
  const address = MacAddress.tryParse(text)
  return address === undefined || address.isMulticast || address.isZero ? undefined : address
}

/** The name of a network interface, by the rules of the kernel's `dev_valid_name`. */
export function parseInterfaceName(text: string): string | undefined {
  if (text === "" || text === "." || text === "..") return undefined
  if (new TextEncoder().encode(text).length > INTERFACE_NAME_LENGTH || /[\s/:]/.test(text)) return undefined
  return text
}

/** A domain name that fits DNS: labels of 1 to 63 bytes, 253 in all, a dot at the end allowed. */
export function parseDomainName(text: string): string | undefined {
  const name = text.endsWith(".") ? text.slice(0, -1) : text
  if (name.length > DOMAIN_LENGTH || !/^[\x21-\x7e]+$/.test(name)) return undefined
  return name.split(".").every((label) => label.length >= 1 && label.length <= LABEL_LENGTH) ? text : undefined
}

/** Domain names separated by white space: one at least. */
export function parseDomainList(text: string): readonly string[] | undefined {
  const words = text.split(/\s+/).filter((word) => word !== "")
  const names = words.flatMap((word) => parseDomainName(word) ?? [])
  return names.length === words.length && names.length > 0 ? names : undefined
}
