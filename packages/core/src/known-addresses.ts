import type { Address } from "./address.ts"

/** Milliseconds for which an address is remembered after the guest was last seen to use it. */
export const ADDRESS_LIFETIME = 300_000
/** Addresses remembered at most: memory is bounded, whatever a guest does. The one seen longest ago is forgotten first. */
export const ADDRESS_LIMIT = 4096

/** The addresses that are the guest's own: the assigned one for good, and those that it was seen to use for a while. */
export class KnownAddresses {
  readonly #assigned: Address | undefined
  /** When each was last seen, by its text; the one seen longest ago first. */
  readonly #seen = new Map<string, number>()

  constructor(assigned: Readonly<Address> | undefined) {
    this.#assigned = assigned?.clone()
  }

  /** Another guest may come: only the assigned address is left. */
  forget(): void {
    this.#seen.clear()
  }

  /** @param now clock milliseconds */
  has(address: Address, now: number): boolean {
    if (this.#assigned?.equals(address)) return true
    const key = address.toString()
    const seen = this.#seen.get(key)
    if (seen === undefined) return false
    if (now - seen < ADDRESS_LIFETIME) return true
    this.#seen.delete(key)
    return false
  }

  /** The guest uses the address. */
  notice(address: Address, now: number): void {
    const key = address.toString()
    this.#seen.delete(key)
    if (this.#seen.size >= ADDRESS_LIMIT) {
      for (const oldest of this.#seen.keys()) {
        this.#seen.delete(oldest)
        break
      }
    }
    this.#seen.set(key, now)
  }
}
