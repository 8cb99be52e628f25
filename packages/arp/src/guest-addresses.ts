import type { Address } from "@demiflow/core"

/** Milliseconds for which an address is remembered after the guest was last seen to use it. */
export const ADDRESS_LIFETIME = 300_000
/** A guest with more addresses than this is answered for the oldest of them: bounded memory matters more. */
export const ADDRESS_LIMIT = 4096

/** The IPv4 addresses that are the guest's: the assigned one for good, and those it was seen to use for a while. */
export class GuestAddresses {
  readonly #assigned: Address | undefined
  /** When each was last seen, by value; the one seen longest ago first. */
  readonly #seen = new Map<number, number>()

  constructor(assigned: Address | undefined) {
    this.#assigned = assigned?.clone()
  }

  /** Another guest may come: only the assigned address is left. */
  forget(): void {
    this.#seen.clear()
  }

  /** @param now clock milliseconds */
  has(address: Address, now: number): boolean {
    if (this.#assigned?.equals(address)) return true
    const seen = this.#seen.get(address.word3)
    if (seen === undefined) return false
    if (now - seen < ADDRESS_LIFETIME) return true
    this.#seen.delete(address.word3)
    return false
  }

  /** The guest uses the address. */
  notice(address: Address, now: number): void {
    this.#seen.delete(address.word3)
    if (this.#seen.size >= ADDRESS_LIMIT) {
      for (const oldest of this.#seen.keys()) {
        this.#seen.delete(oldest)
        break
      }
    }
    this.#seen.set(address.word3, now)
  }
}
