import type { Address } from "@demiflow/core"

const CROWD_BITS = 10
/** Crowds that are told apart. Those that share a number share a limit. */
export const CROWDS: number = 1 << CROWD_BITS
/** 2³² divided by the golden ratio: spreads what it multiplies over the highest bits. */
const SPREAD = 0x9e3779b1

/** The crowd of connections to an address. */
export function crowdOf({ word0, word1, word2, word3 }: Readonly<Address>): number {
  return Math.imul(word0 ^ word1 ^ word2 ^ word3, SPREAD) >>> (32 - CROWD_BITS)
}

/**
 * Places for what comes in crowds: the connections to one destination, those at one port. A crowd is full once it has as many
 * places as are free. So one alone has half of them at most, two have a third each, and one that comes later finds places free.
 */
export class Crowds {
  readonly #most: number
  readonly #counts = new Uint16Array(CROWDS)
  /** Places taken. */
  count = 0

  /** @param most places, 65,535 at most */
  constructor(most: number) {
    this.#most = most
  }

  /** True if no more of the crowd may come. @param crowd below {@link CROWDS} */
  isFull(crowd: number): boolean {
    return this.#counts[crowd] >= this.#most - this.count
  }

  /** Places that a crowd has. */
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
