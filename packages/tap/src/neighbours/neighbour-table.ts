/**
 * The neighbour table: which station has which IP address. Theory of operation.
 *
 * Learning. Every packet shows that its source address is at its Ethernet source, unless that is our own. So replies go
 * back where the request came from, even through a router behind the link. A station that changes its Ethernet address,
 * or takes over an address from another one, need not announce that. Messages of ARP and neighbour discovery count as
 * well. Their addresses are *announced*: they are a station's own on this link, while the source of a packet may be
 * anything. They stay announced for five minutes after the last packet from there. Nothing else moves an address to
 * another station.
 *
 * Sending. A packet goes to the station that has its destination address. If none is known, the packet goes at once to
 * the station heard last: with one guest that is right; with several, the packet is lost, as on any busy network. A
 * request for the address is sent at the same time, so that a retransmission arrives. (RFC 1122, section 2.3.2.2, would
 * have the packet kept. A link with one guest, the usual case, would then wait for what it knows.) An entry that wasn't
 * confirmed for a minute is still used, and its station probed, as RFC 1122, section 2.3.2.1 (4), and RFC 4861,
 * section 7.3, require: after three requests without a reply the station is forgotten. Requests for one address are at
 * least a second apart, and all requests share a budget.
 *
 * Memory is a number of places, eight for each hash: 64, which double when one has no room, up to 1,024. Nothing else
 * here allocates. If there is no room then, an entry without a station is evicted; else one that isn't announced; else
 * the one confirmed longest ago.
 */
import {
  type Address,
  type AskForNeighbour,
  type Clock,
  type HostNeighbours,
  MacAddress,
  type Neighbours,
  type Random,
} from "@demiflow/core"
import { RateBudget } from "@demiflow/protocol-kit"
import { AddressPlaces } from "./address-places.ts"

const INITIAL_CAPACITY = 64
const CAPACITY = 1024
/** Milliseconds that an announced address stays its station's after the station last announced or used it. */
const ANNOUNCEMENT_LIFETIME = 300_000
/** Milliseconds without a packet after which an entry must be confirmed. */
const CONFIRMED_FOR = 60_000
const BETWEEN_QUESTIONS = 1_000
const MOST_QUESTIONS = 3
/** Milliseconds for which an address without a reply isn't assumed to be a station's. */
const MISSED_FOR = 300_000
/** Limits of all requests together: a guest may have us send to addresses that it makes up. */
const QUESTIONS_PER_SECOND = 16
const QUESTIONS_AT_ONCE = 64
const LARGEST_VERSION = 0x3fffffff
/** Earlier than any time. */
const NEVER = Number.NEGATIVE_INFINITY

/** Stations by IP address. */
export class NeighbourTable implements Neighbours {
  /** The station found by the last {@link NeighbourTable.resolve}. */
  readonly station: MacAddress = new MacAddress()
  /** Called for each station that starts over. */
  onStartsOver: ((station: MacAddress, wasStarted: boolean) => void) | undefined = undefined
  /** Called for each address that is announced. */
  onAnnounced: ((address: Address) => void) | undefined = undefined
  /** Changes whenever an address moves to another station. */
  version = 0
  readonly #clock: Clock
  readonly #ourMac: MacAddress
  readonly #hostNeighbours: HostNeighbours
  readonly #places: AddressPlaces
  readonly #budget = new RateBudget(QUESTIONS_PER_SECOND, QUESTIONS_AT_ONCE)
  #capacity = INITIAL_CAPACITY
  #high = new Int32Array(INITIAL_CAPACITY)
  /** Both parts are zero while the station isn't known. */
  #low = new Int32Array(INITIAL_CAPACITY)
  #confirmedAt = new Float64Array(INITIAL_CAPACITY)
  #announcedAt = new Float64Array(INITIAL_CAPACITY)
  /** 1 if the station is the one that announced the address. */
  #isAnnouncers = new Uint8Array(INITIAL_CAPACITY)
  #askedAt = new Float64Array(INITIAL_CAPACITY)
  /** Requests since the entry was confirmed, up to a few. */
  #questions = new Uint8Array(INITIAL_CAPACITY)
  readonly #askedStation = new MacAddress()
  #askV4: AskForNeighbour | undefined
  #askV6: AskForNeighbour | undefined
  readonly #isLessOfUse = (place: number, other: number): boolean => {
    const use = this.#use(place)
    const otherUse = this.#use(other)
    return use < otherUse || (use === otherUse && this.#confirmedAt[place] < this.#confirmedAt[other])
  }

  /**
   * @param ourMac never learnt: a frame from there is one of ours, sent back
   * @param hostNeighbours their addresses are not learnt from announcements either
   */
  constructor(clock: Clock, random: Random, ourMac: MacAddress, hostNeighbours: HostNeighbours) {
    this.#clock = clock
    this.#ourMac = ourMac
    this.#hostNeighbours = hostNeighbours
    this.#places = new AddressPlaces(random, INITIAL_CAPACITY)
  }

  askWith(isV4: boolean, ask: AskForNeighbour): void {
    if (isV4) this.#askV4 = ask
    else this.#askV6 = ask
  }

  startsOver(station: MacAddress, wasStarted: boolean): void {
    this.onStartsOver?.(station, wasStarted)
  }

  /** Returns true if the address is known to be at another station. */
  isElsewhere(address: Address, station: MacAddress): boolean {
    const place = this.#places.find(address)
    return place >= 0 && this.#hasStation(place) && !this.#isAt(place, station)
  }

  /**
   * Returns whether a station is known or assumed to have the address.
   *
   * @param isAssumed the result if nothing is known. It holds until a request has had no reply for a second, and again
   *   after some minutes: a station that takes an address need not announce that
   */
  has(address: Address, isAssumed: boolean): boolean {
    const place = this.#places.find(address)
    if (place < 0) return isAssumed
    if (this.#hasStation(place)) return true
    const sinceAsked = this.#clock.now - this.#askedAt[place]
    const isMissed = this.#questions[place] > 1 || (this.#questions[place] === 1 && sinceAsked >= BETWEEN_QUESTIONS)
    return isAssumed && !(isMissed && sinceAsked < MISSED_FOR)
  }

  /** Forgets all stations. */
  forget(): void {
    // A free place equals that of the unspecified address, which has no station.
    this.#places.forget()
    this.#change()
    this.#high.fill(0)
    this.#low.fill(0)
  }

  announce(address: Address, station: MacAddress, mayMove: boolean): void {
    if (station.equals(this.#ourMac) || this.#hostNeighbours.shows(address, station)) return
    if (!mayMove && this.isElsewhere(address, station)) return
    const place = this.#learn(address, station)
    this.#announcedAt[place] = this.#clock.now
    this.#isAnnouncers[place] = 1
    this.onAnnounced?.(address)
  }

  isAnnounced(address: Address): boolean {
    const place = this.#places.find(address)
    return place >= 0 && this.#wasAnnounced(place)
  }

  /** Learns from a packet that this station sent from the address, which is neither a group's nor unspecified. */
  learn(address: Address, station: MacAddress): void {
    if (!station.equals(this.#ourMac)) this.#learn(address, station)
  }

  /**
   * Finds the station for packets to the address, and sends a request for it if necessary. Returns true if the station
   * is known: it is then in `station`.
   */
  resolve(address: Address): boolean {
    let place = this.#places.find(address)
    if (place < 0) place = this.#take(address)
    const { now } = this.#clock
    if (now - this.#confirmedAt[place] >= CONFIRMED_FOR && now - this.#askedAt[place] >= BETWEEN_QUESTIONS) {
      this.#ask(address, place, now)
    }
    this.station.high = this.#high[place]
    this.station.low = this.#low[place]
    return this.#hasStation(place)
  }

  #learn(address: Address, station: MacAddress): number {
    let place = this.#places.find(address)
    const { now } = this.#clock
    if (place < 0) place = this.#take(address)
    if (!this.#isAt(place, station)) {
      this.#isAnnouncers[place] = 0
      this.#change()
    } else if (this.#isAnnouncers[place] === 1 && this.#wasAnnounced(place)) this.#announcedAt[place] = now
    this.#high[place] = station.high
    this.#low[place] = station.low
    this.#confirmedAt[place] = now
    this.#questions[place] = 0
    return place
  }

  #change(): void {
    this.version = (this.version + 1) & LARGEST_VERSION
  }

  #ask(address: Address, place: number, now: number): void {
    // Set even if nothing can be sent now, so that the next packet doesn't repeat the check.
    this.#askedAt[place] = now
    const ask = address.isV4 ? this.#askV4 : this.#askV6
    if (ask === undefined || !this.#budget.take(now)) return
    const isKnown = this.#hasStation(place)
    const isGivenUp = this.#questions[place] >= MOST_QUESTIONS
    if (!isGivenUp) this.#questions[place]++
    if (isKnown && isGivenUp) {
      this.#high[place] = 0
      this.#low[place] = 0
      ask(address, undefined)
      return
    }
    this.#askedStation.high = this.#high[place]
    this.#askedStation.low = this.#low[place]
    ask(address, isKnown ? this.#askedStation : undefined)
  }

  #wasAnnounced(place: number): boolean {
    return this.#clock.now - this.#announcedAt[place] < ANNOUNCEMENT_LIFETIME
  }

  #hasStation(place: number): boolean {
    return this.#low[place] !== 0 || this.#high[place] !== 0
  }

  #isAt(place: number, { high, low }: MacAddress): boolean {
    return this.#low[place] === low && this.#high[place] === high
  }

  /** Returns a place for an address that has none, in its set; the entry there is forgotten. */
  #take(address: Address): number {
    if (this.#capacity < CAPACITY && !this.#places.hasFree(address)) this.#grow()
    const place = this.#places.take(address, this.#isLessOfUse)
    this.#high[place] = 0
    this.#low[place] = 0
    this.#confirmedAt[place] = NEVER
    this.#announcedAt[place] = NEVER
    this.#isAnnouncers[place] = 0
    this.#askedAt[place] = NEVER
    this.#questions[place] = 0
    return place
  }

  #grow(): void {
    const places = this.#places.grow()
    this.#capacity *= 2
    const capacity = this.#capacity
    this.#high = moved(places, this.#high, new Int32Array(capacity))
    this.#low = moved(places, this.#low, new Int32Array(capacity))
    this.#confirmedAt = moved(places, this.#confirmedAt, new Float64Array(capacity))
    this.#announcedAt = moved(places, this.#announcedAt, new Float64Array(capacity))
    this.#isAnnouncers = moved(places, this.#isAnnouncers, new Uint8Array(capacity))
    this.#askedAt = moved(places, this.#askedAt, new Float64Array(capacity))
    this.#questions = moved(places, this.#questions, new Uint8Array(capacity))
  }

  #use(place: number): number {
    if (this.#places.isFree(place)) return 0
    if (!this.#hasStation(place)) return 1
    return this.#wasAnnounced(place) ? 3 : 2
  }
}

/** Copies what is at each place to its new one; -1 is none. */
function moved<Numbers extends Int32Array | Float64Array | Uint8Array>(
  places: Int32Array,
  from: Numbers,
  to: Numbers,
): Numbers {
  for (let place = 0; place < places.length; place++) if (places[place] >= 0) to[places[place]] = from[place]
  return to
}
