import type { Demiflow, Random } from "@demiflow/core"

/** The dynamic ports (RFC 6335, section 6). */
const FIRST_DYNAMIC_PORT = 49_152
const DYNAMIC_PORT_MASK = 0x3fff
/** How many of them are tried. */
const ATTEMPTS = 64

/**
 * Finds another port for a correspondent whose own port is taken at the guest. Two correspondents may be the same to
 * the guest, which knows several addresses under one. Then only their ports differ.
 */
export class SparePorts {
  readonly #random: Random
  readonly #isFree: (tap: Demiflow) => boolean

  /** @param isFree true if no flow has these ends */
  constructor(random: Random, isFree: (tap: Demiflow) => boolean) {
    this.#random = random
    this.#isFree = isFree
  }

  /** Gives the forwarding end a random dynamic port that is free. Returns false if none of those tried is. */
  choose(tap: Demiflow): boolean {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      tap.forwardingPort = FIRST_DYNAMIC_PORT + (this.#random.int32() & DYNAMIC_PORT_MASK)
      if (this.#isFree(tap)) return true
    }
    return false
  }
}
