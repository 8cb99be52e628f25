/**
 * The MTUs of paths behind the guest, by the addresses there, as routers of the guest's side reported them (RFC 1191;
 * RFC 8201).
 *
 * An entry lasts for ten minutes after the last report. A fixed number of places, four for each hash, from the first
 * report on; the entry closest to its end is evicted for a new one. While there is no entry, no packet has to be
 * checked: see {@link PathMtus.certain}.
 */
import { type Address, type Clock, IPV6_MINIMUM_MTU, type Random } from "@demiflow/core"
import { StationKey } from "../neighbours/station-key.ts"

/** Milliseconds until a larger MTU is tried (RFC 8201, section 4; RFC 1191, section 6.3). */
const LIFETIME = 600_000
const CAPACITY = 256
const WAYS = 4

/** Path MTUs by IP address. */
export class PathMtus {
  /** Bytes of an IP packet that fits every path. */
  certain = 0
  readonly #clock: Clock
  readonly #key: StationKey
  readonly #unasked: number
  /** Four words for each address. */
  #words = new Int32Array(0)
  #mtu = new Int32Array(0)
  #until = new Float64Array(0)
  #lastUntil = 0

  /** @param unasked bytes that every link with a station of the guest takes */
  constructor(clock: Clock, random: Random, unasked: number) {
    this.#clock = clock
    this.#key = new StationKey(random)
    this.#unasked = unasked
    this.forget()
  }

  forget(): void {
    this.#until.fill(Number.NEGATIVE_INFINITY)
    this.#lastUntil = Number.NEGATIVE_INFINITY
    this.certain = this.#unasked
  }

  /**
   * Records a report that the path to an address takes packets of at most `mtu` bytes. A report can't raise the known
   * MTU.
   */
  notice(address: Address, mtu: number): void {
    const { now } = this.#clock
    if (this.#mtu.length === 0) this.#allocate()
    let place = this.#find(address)
    if (place < 0) {
      place = this.#placeToUse(address)
      this.#words.set([address.word0, address.word1, address.word2, address.word3], place * 4)
      this.#mtu[place] = mtu
    } else if (mtu < this.#mtu[place]) this.#mtu[place] = mtu
    this.#until[place] = now + LIFETIME
    this.#lastUntil = now + LIFETIME
    this.certain = Math.min(this.#unasked, IPV6_MINIMUM_MTU)
  }

  /** Returns the largest IP packet for the path to an address, bytes; infinite if nothing was reported lately. */
  mtu(address: Address): number {
    if (this.#clock.now >= this.#lastUntil) {
      this.certain = this.#unasked
      return Number.POSITIVE_INFINITY
    }
    const place = this.#find(address)
    return place < 0 ? Number.POSITIVE_INFINITY : this.#mtu[place]
  }

  #allocate(): void {
    this.#words = new Int32Array(CAPACITY * 4)
    this.#mtu = new Int32Array(CAPACITY)
    this.#until = new Float64Array(CAPACITY).fill(Number.NEGATIVE_INFINITY)
  }

  #find(address: Address): number {
    const { word0, word1, word2, word3 } = address
    const words = this.#words
    const first = this.#firstPlace(address)
    for (let place = first; place < first + WAYS; place++) {
      const at = place * 4
      const isThere =
        words[at + 3] === word3 && words[at + 2] === word2 && words[at + 1] === word1 && words[at] === word0
      if (isThere && this.#clock.now < this.#until[place]) return place
    }
    return -1
  }

  #firstPlace({ word0, word1, word2, word3 }: Address): number {
    return (this.#key.hash(word0, word1, word2, word3) % (CAPACITY / WAYS)) * WAYS
  }

  #placeToUse(address: Address): number {
    const first = this.#firstPlace(address)
    let oldest = first
    for (let place = first + 1; place < first + WAYS; place++) {
      if (this.#until[place] < this.#until[oldest]) oldest = place
    }
    return oldest
  }
}
