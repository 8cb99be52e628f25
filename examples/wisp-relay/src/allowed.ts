import { Address, AddressRangeSet, NON_PUBLIC_ADDRESSES } from "@demiflow/core"

/** Addresses that a relay must not reach for strangers. A translator to IPv4 (RFC 6052) may reach private ones. */
const refused = new AddressRangeSet([...NON_PUBLIC_ADDRESSES.ranges, "64:ff9b::/96"])

/** True for addresses of the Internet. */
export function isPublic(address: string): boolean {
  const parsed = Address.tryParse(address)
  return parsed !== undefined && !refused.contains(parsed)
}
