import type { DropReason, Drops } from "@demiflow/core"

/** Drop reasons of a protocol, by what is wrong: `dhcp: option length`. Too slow for a path on which speed counts. */
export class DropReasons {
  readonly #drops: Drops
  readonly #protocol: string

  constructor(drops: Drops, protocol: string) {
    this.#drops = drops
    this.#protocol = protocol
  }

  /** Returns the reason with this text. */
  get(what: string): DropReason {
    return this.#drops.reason(`${this.#protocol}: ${what}`)
  }
}
