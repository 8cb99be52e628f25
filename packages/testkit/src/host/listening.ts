/** The bound end of a listening socket: which ends it covers, and which other sockets it conflicts with. */
import type { Address, ListenerRef, ListeningEnd } from "@demiflow/core"

/** The properties of a listening socket. */
export interface Listening {
  readonly ref: ListenerRef
  readonly end: ListeningEnd
}

/** True if packets to the address and port, over the interface, belong to the listening end. */
export function covers(end: ListeningEnd, address: Address, port: number, interfaceName: string): boolean {
  if (end.port !== port || (end.interfaceName ?? interfaceName) !== interfaceName) return false
  return includes(end.address, address)
}

/**
 * True if two sockets can't be bound at once, by the rules of Linux: the same port, a common address (a dual-stack
 * socket has one with every other), and no different interfaces.
 */
export function areInConflict(one: ListeningEnd, other: ListeningEnd): boolean {
  if (one.port !== other.port) return false
  const [first, second] = [one.interfaceName, other.interfaceName]
  if (first !== undefined && second !== undefined && first !== second) return false
  if (one.address === undefined || other.address === undefined) return true
  return includes(one.address, other.address) || includes(other.address, one.address)
}

/** Larger for the end that takes precedence where several cover the same. */
export function specificity({ address, interfaceName }: ListeningEnd): number {
  return (address?.isUnspecified === false ? 1 : 0) + (interfaceName === undefined ? 0 : 2)
}

function includes(bound: Readonly<Address> | undefined, address: Readonly<Address>): boolean {
  if (bound === undefined) return true
  return bound.isUnspecified ? bound.isV4 === address.isV4 : bound.equals(address)
}
