/** Packets that were not delivered, counted by reason. */

declare const brand: unique symbol

/** A registered reason, from 0. */
export type DropReason = number & { readonly [brand]: true }

/** Named counters. Reasons are registered once, at start, and counted by number. */
export class Drops {
  readonly #names: string[] = []
  readonly #byName = new Map<string, DropReason>()
  #counts = new Float64Array(64)

  /** Returns the reason of this name, such as `tcp: checksum`; the same name gives the same reason. */
  reason(name: string): DropReason {
    const known = this.#byName.get(name)
    if (known !== undefined) return known
    const reason = this.#names.length as DropReason
    this.#names.push(name)
    this.#byName.set(name, reason)
    if (reason >= this.#counts.length) {
      const larger = new Float64Array(this.#counts.length * 2)
      larger.set(this.#counts)
      this.#counts = larger
    }
    return reason
  }

  /** Adds to the packets dropped for the reason. */
  count(reason: DropReason, packets = 1): void {
    this.#counts[reason] += packets
  }

  /** Packets counted under the name; 0 for an unknown one. */
  get(name: string): number {
    const reason = this.#byName.get(name)
    return reason === undefined ? 0 : this.#counts[reason]
  }

  /** Number of registered reasons. */
  get size(): number {
    return this.#names.length
  }

  /** The name of a registered reason. */
  nameOf(reason: DropReason): string {
    return this.#names[reason]
  }

  /** Packets counted under a registered reason. */
  countOf(reason: DropReason): number {
    return this.#counts[reason]
  }

  /** Packets counted under all reasons. */
  get total(): number {
    let total = 0
    for (const count of this.#counts) total += count
    return total
  }

  /** Returns the reasons that occurred, with their counts, in the order of registration. */
  entries(): [name: string, count: number][] {
    const all = this.#names.map((name, index): [string, number] => [name, this.#counts[index]])
    return all.filter(([, count]) => count > 0)
  }
}
