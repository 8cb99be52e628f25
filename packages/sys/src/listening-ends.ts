import type { Address, ListeningEnd } from "@demiflow/core"

/** True if something could arrive for both ends: an address in common, and no two interfaces to keep them apart. */
export function haveCommonAddress(one: ListeningEnd, other: ListeningEnd): boolean {
  const [first, second] = [one.interfaceName, other.interfaceName]
  if (first !== undefined && second !== undefined && first !== second) return false
  if (one.address === undefined || other.address === undefined) return true
  return includes(one.address, other.address) || includes(other.address, one.address)
}

function includes(bound: Readonly<Address>, address: Readonly<Address>): boolean {
  return bound.isUnspecified ? bound.isV4 === address.isV4 : bound.equals(address)
}
