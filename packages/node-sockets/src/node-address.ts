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
