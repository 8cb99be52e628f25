import { networkInterfaces } from "node:os"
import { Address } from "@demiflow/core"

/** Copies an address as Node.js writes it, without its zone. False if there is none. */
export function readAddress(text: string | undefined, into: Address): boolean {
  if (text === undefined) return false
  const address = Address.tryParse(withoutZone(text))
  if (address === undefined) return false
  into.copyFrom(address)
  return true
}

/** An address as Node.js writes it, without its zone. */
export function withoutZone(text: string): string {
  const zone = text.indexOf("%")
  return zone < 0 ? text : text.slice(0, zone)
}

/** True if the host has the address, as far as the runtime knows. All of 127.0.0.0/8 are the host's. */
export function isOwnAddress(address: Readonly<Address>): boolean {
  if (address.isUnspecified || address.isLoopback || address.isMulticast) return true
  const own = new Address()
  for (const list of Object.values(networkInterfaces())) {
    for (const entry of list ?? []) if (readAddress(entry.address, own) && own.equals(address as Address)) return true
  }
  return false
}
