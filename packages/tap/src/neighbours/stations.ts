/**
 * The stations of the guest's link, by Ethernet address: those that frames came from.
 *
 * A fixed number of places, four for each hash; the station silent for longest is evicted for a new one. Each property
 * of a station has an array here, beside the addresses.
 */
import type { Clock, Random } from "@demiflow/core"
import { StationKey } from "./station-key.ts"

/** A bridge forgets a station after five minutes (IEEE 802.1Q, 8.8.3). */
const LIFETIME = 300_000
const CAPACITY = 256
const WAYS = 4
/** Earlier than any time: the place is free. */
const NEVER = Number.NEGATIVE_INFINITY

/** No place of {@link Stations}. */
export const NO_STATION = -1

/** The known stations, by place. A place is valid until a newly noticed station takes it. */
export class Stations {
  /** Called when the set of known stations has changed. */
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
  /** An address that isn't a station's: frames to a neighbour of the host go to such an address. */
  #strangerHigh = -1
  #strangerLow = 0

  /** @param unaskedMtu MTU of a station about which nothing is known, bytes */
  constructor(clock: Clock, random: Random, unaskedMtu: number) {
    this.#unaskedMtu = unaskedMtu
    this.#clock = clock
    this.#key = new StationKey(random)
  }

  /** Forgets all stations. */
  forget(): void {
    this.#heardAt.fill(NEVER)
    this.onChange?.()
  }

  /** True if no station is known. */
  get isEmpty(): boolean {
    return this.#heardAt.every((time) => time === NEVER)
  }

  /** Returns the station's place, or {@link NO_STATION} if it isn't known. */
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

  /** Returns true for a station that was heard within the last five minutes. */
  isPresent(high: number, low: number): boolean {
    const place = this.find(high, low)
    return place !== NO_STATION && this.#clock.now - this.#heardAt[place] < LIFETIME
  }

  /** Records a frame from the station. Returns true if the station wasn't known before. */
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

  /** Returns the largest IP packet of one version, in bytes, that the station has shown to take in one frame. */
  mtu(high: number, low: number, isV4: boolean): number {
    const place = this.find(high, low)
    if (place === NO_STATION) return this.#unaskedMtu
    return isV4 ? this.#mtuV4[place] : this.#mtuV6[place]
  }

  /** Records that a station takes IP packets of at least `mtu` bytes. Does nothing for an unknown station. */
  noticeMtu(high: number, low: number, isV4: boolean, mtu: number): void {
    const place = this.find(high, low)
    if (place === NO_STATION) return
    const known = isV4 ? this.#mtuV4 : this.#mtuV6
    if (mtu > known[place]) known[place] = mtu
  }

  /** Forgets a station's MTUs, because it was started or restarted and may be configured differently now. */
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
