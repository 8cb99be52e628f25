import type { Address } from "@demiflow/core"

/**
 * The largest IPv6 scope (RFC 4291, section 2.7) that doesn't reach the host's links: 0 is reserved, 1 is
 * interface-local.
 */
const LARGEST_INNER_SCOPE = 1
const DHCPV6_SERVER_PORT = 547

/**
 * True for a multicast address to which the guest's datagrams leave the host, as if the guest were on the host's link.
 * Not for DHCPv6 (RFC 8415, section 7.1): it concerns the guest's own link, which the host's network doesn't configure.
 */
export function isGroupOutside(address: Readonly<Address>, port: number): boolean {
  if (!address.isMulticast) return false
  if (address.isV4) return true
  return ((address.word0 >>> 16) & 0xf) > LARGEST_INNER_SCOPE && port !== DHCPV6_SERVER_PORT
}
