/**
 * The kernel's `sockaddr_in` and `sockaddr_in6` in the arena: ip(7), ipv6(7).
 *
 * Family and scope are in machine byte order (this package runs on little-endian machines only, which all of Node's
 * Linux builds but s390x are), port and address in network order.
 */
import type { Address } from "@demiflow/core"
import { AddressFamily } from "./constants.ts"

/** Bytes of a `sockaddr_in`. */
export const SOCKET_ADDRESS_V4_BYTES = 16
/** Bytes of a `sockaddr_in6`, the larger of the two. */
export const SOCKET_ADDRESS_BYTES = 28

const PORT = 2
const V4_ADDRESS = 4
const V4_PADDING = 8
const V6_FLOW_INFORMATION = 4
const V6_ADDRESS = 8
const V6_SCOPE = 24

/**
 * Writes the socket address at `offset`; returns its length in bytes.
 *
 * @param port 0–65535
 * @param scope interface index, for link-local IPv6 addresses
 */
export function writeSocketAddress(
  view: DataView,
  offset: number,
  address: Readonly<Address>,
  port: number,
  scope = 0,
): number {
  view.setUint16(offset + PORT, port)
  if (address.isV4) {
    view.setUint16(offset, AddressFamily.ipv4, true)
    address.writeV4(view, offset + V4_ADDRESS)
    view.setInt32(offset + V4_PADDING, 0)
    view.setInt32(offset + V4_PADDING + 4, 0)
    return SOCKET_ADDRESS_V4_BYTES
  }
  view.setUint16(offset, AddressFamily.ipv6, true)
  view.setInt32(offset + V6_FLOW_INFORMATION, 0)
  address.writeV6(view, offset + V6_ADDRESS)
  view.setInt32(offset + V6_SCOPE, scope, true)
  return SOCKET_ADDRESS_BYTES
}

/**
 * Reads the socket address at `offset` into `into`. Returns its port, or -1 for another address family, which leaves
 * `into` unchanged.
 */
export function readSocketAddress(view: DataView, offset: number, into: Address): number {
  const family = view.getUint16(offset, true)
  if (family === AddressFamily.ipv4) into.readV4(view, offset + V4_ADDRESS)
  else if (family === AddressFamily.ipv6) into.readV6(view, offset + V6_ADDRESS)
  else return -1
  return view.getUint16(offset + PORT)
}

/** Interface index in the IPv6 socket address at `offset`: 0 where the kernel gave none. */
export function readSocketScope(view: DataView, offset: number): number {
  return view.getInt32(offset + V6_SCOPE, true)
}
