import type { Address, Random } from "@demiflow/core"
import { StationKey } from "./station-key.ts"

const WAYS = 8

/**
 * Numbered places for IP addresses, eight for each hash. Data about an address is in arrays elsewhere, indexed by its
 * place.
 */
export class AddressPlaces {
  readonly #key: StationKey
  #sets: number
  /** Four words for each address; a place with four zeros is free. */
  #words: Int32Array
  /** The place found last. */
  #last = 0

  /** @param capacity number of places, a multiple of eight */
  constructor(random: Random, capacity: number) {
    this.#key = new StationKey(random)
    this.#sets = capacity / WAYS
    this.#words = new Int32Array(capacity * 4)
  }

  /** Returns the address's place, or -1 if it has none. */
  find(address: Address): number {
    const last = this.#last
    return this.#is(last, address) ? last : this.#search(address)
  }

  #search(address: Address): number {
    const first = this.#firstPlace(address)
    for (let place = first; place < first + WAYS; place++) {
      if (this.#is(place, address)) {
        this.#last = place
        return place
      }
    }
    return -1
  }

  /**
   * Assigns a place to an address that has none. The address that was there is forgotten.
   *
   * @param isLessOfUse returns whether one of two places should be given away rather than the other
   */
  take(address: Address, isLessOfUse: (place: number, other: number) => boolean): number {
    const first = this.#firstPlace(address)
    let place = first
    for (let other = first + 1; other < first + WAYS; other++) if (isLessOfUse(other, place)) place = other
    const words = this.#words
    words[place * 4] = address.word0
    words[place * 4 + 1] = address.word1
    words[place * 4 + 2] = address.word2
    words[place * 4 + 3] = address.word3
    this.#last = place
    return place
  }

  /** True if the address, which has no place, would take that of no other. */
  hasFree(address: Address): boolean {
    const first = this.#firstPlace(address)
    for (let place = first; place < first + WAYS; place++) if (this.isFree(place)) return true
    return false
  }

  /**
   * Doubles the number of places. Returns the new place of each, by its old one; -1 for one that is free. Data
   * elsewhere is the caller's to move.
   */
  grow(): Int32Array {
    const words = this.#words
    const moved = new Int32Array(this.#sets * WAYS).fill(-1)
    this.#sets *= 2
    const larger = new Int32Array(words.length * 2)
    for (let place = 0; place < moved.length; place++) {
      const at = place * 4
      const isFree = (words[at] | words[at + 1] | words[at + 2] | words[at + 3]) === 0
      if (isFree) continue
      const hash = this.#key.hash(words[at], words[at + 1], words[at + 2], words[at + 3])
      // What shared a set may share one again, but nothing else comes there: its place within the set stays its own.
      const to = (hash % this.#sets) * WAYS + (place % WAYS)
      for (let word = 0; word < 4; word++) larger[to * 4 + word] = words[at + word]
      moved[place] = to
    }
    this.#words = larger
    this.#last = 0
    return moved
  }

  isFree(place: number): boolean {
    const at = place * 4
    const words = this.#words
    return (words[at] | words[at + 1] | words[at + 2] | words[at + 3]) === 0
  }

  /** Forgets all addresses. */
  forget(): void {
    this.#words.fill(0)
  }

  #is(place: number, { word0, word1, word2, word3 }: Address): boolean {
    const words = this.#words
    const at = place * 4
    return words[at + 3] === word3 && words[at + 2] === word2 && words[at + 1] === word1 && words[at] === word0
  }

  #firstPlace({ word0, word1, word2, word3 }: Address): number {
    return (this.#key.hash(word0, word1, word2, word3) % this.#sets) * WAYS
  }
}
