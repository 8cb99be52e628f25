/**
 * Hashes of addresses, for tables with a bounded number of places for each hash. They are keyed, so that a station that
 * chooses its addresses can't aim at the places of another one.
 */
import type { Random } from "@demiflow/core"

/** A hash of up to four words: Dietzfelbinger's multiplication by random odd numbers, with mixing in between. */
export class StationKey {
  readonly #first: number
  readonly #second: number

  constructor(random: Random) {
    this.#first = random.int32() | 1
    this.#second = random.int32() | 1
  }

  /** Returns the hash: 0 or more, all 31 bits usable. */
  hash(word0: number, word1: number, word2: number, word3: number): number {
    let hash = Math.imul(word3 ^ this.#second, this.#first)
    hash = Math.imul(hash ^ (hash >>> 15) ^ word2, this.#second)
    hash = Math.imul(hash ^ (hash >>> 15) ^ word1, this.#first)
    hash = Math.imul(hash ^ (hash >>> 15) ^ word0, this.#second)
    return (hash ^ (hash >>> 15)) & 0x7fffffff
  }
}
