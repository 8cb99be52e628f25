import type { Address } from "@demiflow/core"

const CROWD_BITS = 10
/** Largest number of crowds that are distinguished. Crowds with the same number share a limit. */
export const CROWDS: number = 1 << CROWD_BITS
/** 2³² divided by the golden ratio: spreads what it multiplies over the highest bits. */
const SPREAD = 0x9e3779b1

/**
 * Returns the crowd of connections to an address.
 *
 * @param crowds number of crowds that are distinguished, a power of two up to {@link CROWDS}
 */
export function crowdOf({ word0, word1, word2, word3 }: Readonly<Address>, crowds: number = CROWDS): number {
  return (Math.imul(word0 ^ word1 ^ word2 ^ word3, SPREAD) >>> (32 - CROWD_BITS)) & (crowds - 1)
}

/**
 * Places shared by crowds: the connections to one destination, or those at one port. A crowd is full once it has as
 * many places as are free. So a single crowd gets at most half of the places, two get a third each, and a later one
 * finds free places.
 */
export class Crowds {
  readonly #most: number
  readonly #counts: Uint16Array
  /** Places taken. */
  count = 0

  /**
   * @param most number of places, at most 65,535
   * @param crowds number of crowds that are distinguished
   */
  constructor(most: number, crowds: number = CROWDS) {
    this.#most = most
    this.#counts = new Uint16Array(crowds)
  }

  /** True if the crowd may have no further place. @param crowd below the number of crowds */
  isFull(crowd: number): boolean {
    return this.#counts[crowd] >= this.#most - this.count
  }

  /** Returns the number of places that a crowd has. */
  of(crowd: number): number {
    return this.#counts[crowd]
  }

  add(crowd: number): void {
    this.#counts[crowd]++
    this.count++
  }

  remove(crowd: number): void {
    this.#counts[crowd]--
    this.count--
  }
}
