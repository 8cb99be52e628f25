import { BlockList, isIPv6 } from "node:net"

/** Addresses that a relay must not reach for strangers: its own, and those of the networks that it stands in. */
const own = new BlockList()
for (const [network, prefix] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.168.0.0", 16],
  ["224.0.0.0", 3],
] as const) {
  own.addSubnet(network, prefix, "ipv4")
}
// All of IPv6 that is no unicast address of the Internet, mapped and translated addresses included.
for (const [network, prefix] of [
  ["::", 3],
  ["4000::", 2],
  ["8000::", 1],
  ["2002::", 16],
] as const) {
  own.addSubnet(network, prefix, "ipv6")
}

/** True for addresses of the Internet. */
export function isPublic(address: string): boolean {
  return !own.check(address, isIPv6(address) ? "ipv6" : "ipv4")
}
