import { networkInterfaces } from "node:os"
import { Errno, type ListeningEnd } from "@demiflow/core"

/** Returns 0, or the negated error number of an end that these sockets can't listen at. */
export function checkListeningEnd({ interfaceName }: ListeningEnd): number {
  if (interfaceName === undefined) return 0
  return networkInterfaces()[interfaceName] === undefined ? -Errno.ENODEV : -Errno.EPROTONOSUPPORT
}

/** True if two sockets can't listen at both ends. */
export function areConflicting(one: ListeningEnd, other: ListeningEnd): boolean {
  if (one.port !== other.port) return false
  if (one.address === undefined || other.address === undefined) return true
  if (one.address.isV4 !== other.address.isV4) return false
  return one.address.isUnspecified || other.address.isUnspecified || one.address.equals(other.address)
}
