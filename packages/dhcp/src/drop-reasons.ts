import type { DropReason, Drops } from "@demiflow/core"

/** Drop reasons of a protocol, by what went wrong: `dhcp: option length`. Not for a path on which speed counts. */
export class DropReasons {
  readonly #drops: Drops
  readonly #protocol: string

  constructor(drops: Drops, protocol: string) {
    this.#drops = drops
    this.#protocol = protocol
  }

  /** The reason for this. */
  get(what: string): DropReason {
    return this.#drops.reason(`${this.#protocol}: ${what}`)
  }
}
