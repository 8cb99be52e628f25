/**
 * The stations of the guest's link, by their Ethernet addresses: those that frames came from.
 *
 * A fixed number of places, four for each hash; the station that was silent for longest makes room for a new one. What
 * is to be known of each station has an array here, beside its addresses.
 */
import type { Clock, Random } from "@demiflow/core"
import { StationKey } from "./station-key.ts"

/** A bridge forgets a station after five minutes (IEEE 802.1Q, 8.8.3). */
const LIFETIME = 300_000
const CAPACITY = 256
const WAYS = 4
/** Before any time: the place is free. */
const NEVER = Number.NEGATIVE_INFINITY

/** No place of {@link Stations}. */
export const NO_STATION = -1

/** What is known of each station, by its place: valid until a station is noticed that takes the place. */
export class Stations {
  /** Called when other stations are known than before. */
  onChange: (() => void) | undefined = undefined
  readonly #clock: Clock
  readonly #key: StationKey
  readonly #high = new Int32Array(CAPACITY)
  readonly #low = new Int32Array(CAPACITY)
  readonly #heardAt = new Float64Array(CAPACITY).fill(NEVER)
  readonly #mtuV4 = new Int32Array(CAPACITY)
  readonly #mtuV6 = new Int32Array(CAPACITY)
  readonly #unaskedMtu: number
  #last = 0
  /** An address that isn't among the stations': frames to a neighbour of the host go to one. */
  #strangerHigh = -1
  #strangerLow = 0

  /** @param unaskedMtu what a station takes of which nothing is known, bytes */
  constructor(clock: Clock, random: Random, unaskedMtu: number) {
    this.#unaskedMtu = unaskedMtu
    this.#clock = clock
    this.#key = new StationKey(random)
  }

  /** As if nobody had been heard. */
  forget(): void {
    this.#heardAt.fill(NEVER)
    this.onChange?.()
  }

  /** True if no station is known. */
  get isEmpty(): boolean {
    return this.#heardAt.every((time) => time === NEVER)
  }

  /** The station's place, {@link NO_STATION} if it wasn't heard of. */
  find(high: number, low: number): number {
    const last = this.#last
    if (this.#is(last, high, low)) return last
    if (low === this.#strangerLow && high === this.#strangerHigh) return NO_STATION
    const first = this.#firstPlace(high, low)
    for (let place = first; place < first + WAYS; place++) if (this.#is(place, high, low)) return place
    this.#strangerHigh = high
    this.#strangerLow = low
    return NO_STATION
  }

  /** True for a station that was heard within the last five minutes. */
  isPresent(high: number, low: number): boolean {
    const place = this.find(high, low)
    return place !== NO_STATION && this.#clock.now - this.#heardAt[place] < LIFETIME
  }

  /** A frame came from the station. Answers true if it wasn't known before. */
  notice(high: number, low: number): boolean {
    let place = this.find(high, low)
    const isNew = place === NO_STATION
    if (isNew) {
      place = this.#placeToUse(high, low)
      this.#high[place] = high
      this.#low[place] = low
      this.#forgetMtus(place)
      this.#strangerHigh = -1
      this.onChange?.()
    }
    this.#heardAt[place] = this.#clock.now
    this.#last = place
    return isNew
  }

  /** Bytes of the largest IP packet of one version that the station has shown to take in one frame. */
  mtu(high: number, low: number, isV4: boolean): number {
    const place = this.find(high, low)
    if (place === NO_STATION) return this.#unaskedMtu
    return isV4 ? this.#mtuV4[place] : this.#mtuV6[place]
  }

  /** Notes that a station takes IP packets of `mtu` bytes at least. Does nothing for a station that isn't known. */
  noticeMtu(high: number, low: number, isV4: boolean, mtu: number): void {
    const place = this.find(high, low)
    if (place === NO_STATION) return
    const known = isV4 ? this.#mtuV4 : this.#mtuV6
    if (mtu > known[place]) known[place] = mtu
  }

  /** The station was started, or started again, and may be set up differently now. */
  forgetMtus(high: number, low: number): void {
    const place = this.find(high, low)
    if (place !== NO_STATION) this.#forgetMtus(place)
  }

  #forgetMtus(place: number): void {
    this.#mtuV4[place] = this.#unaskedMtu
    this.#mtuV6[place] = this.#unaskedMtu
  }

  #is(place: number, high: number, low: number): boolean {
    return this.#low[place] === low && this.#high[place] === high && this.#heardAt[place] !== NEVER
  }

  #firstPlace(high: number, low: number): number {
    return (this.#key.hash(0, 0, high, low) % (CAPACITY / WAYS)) * WAYS
  }

  #placeToUse(high: number, low: number): number {
    const first = this.#firstPlace(high, low)
    let oldest = first
    for (let place = first + 1; place < first + WAYS; place++) {
      if (this.#heardAt[place] < this.#heardAt[oldest]) oldest = place
    }
    return oldest
  }
}
