/**
 * The Ethernet addresses of the host's neighbours, as the guest sees them: theory of operation.
 *
 * A guest with the host's addresses sees the host's network as the host does: ARP and neighbour discovery return a
 * neighbour's own Ethernet address, and packets from the neighbour come from there. Any other address is at our
 * Ethernet address. If the guest sees that as a separate host, it is at the router's instead: on any network, packets
 * from elsewhere come from the router. Nothing depends on these addresses: a frame of the guest's is ours whichever of
 * them it is sent to.
 *
 * A watcher of the host's neighbours reports each with `notice`. A report stays until another neighbour takes its
 * place: the host forgets neighbours that it hasn't used for a while, and the guest should not see addresses change
 * because of that. If a neighbour's Ethernet address changes, ARP and neighbour discovery announce it.
 *
 * The Ethernet addresses of stations of the guest's link are never shown: a bridge there would take the frame for its
 * own station's, or send that station's frames to us. So a neighbour with such an address is at ours while the station
 * is known.
 *
 * Memory is a fixed number of places, eight for each hash; the neighbour reported longest ago is evicted. Announcements
 * are limited, because others cause them. Headers are written for each packet, so a change applies from the next packet
 * on; a packet of the same flow as the previous one costs a comparison.
 */
import {
  Address,
  type AnnounceHostNeighbour,
  type Clock,
  type HostNeighbours,
  MacAddress,
  type Random,
  UNSPECIFIED_V6,
} from "@demiflow/core"
import { RateBudget } from "@demiflow/protocol-kit"
import { AddressPlaces } from "./address-places.ts"
import { NO_STATION, type Stations } from "./stations.ts"

/** More than the kernel keeps by default for both versions of IP (`gc_thresh3` of arp(7), 1,024 each). */
const DEFAULT_CAPACITY = 4096
const ANNOUNCEMENTS_PER_SECOND = 16
const ANNOUNCEMENTS_AT_ONCE = 64
/** For addresses that are ours permanently. */
const FOR_EVER = Number.POSITIVE_INFINITY

/** Addresses that the guest never sees as neighbours', whatever is reported. */
export interface HostNeighbourOptions {
  /** Addresses of our own, such as a gateway that leads to the host's loopback. */
  readonly ourAddresses?: readonly Readonly<Address>[]
  /**
   * The host's routers, if the guest reaches them as such: addresses that aren't neighbours' are at their Ethernet
   * address.
   */
  readonly routerV4?: Readonly<Address>
  readonly routerV6?: Readonly<Address>
  /** Neighbours that are kept, a multiple of eight; 4,096 if not given. */
  readonly mostHostNeighbours?: number
}

/** Ethernet addresses of the host's neighbours, by IP address. */
export class HostNeighbourTable implements HostNeighbours {
  readonly #clock: Clock
  readonly #ourMac: MacAddress
  readonly #stations: Stations
  readonly #lastHeard: MacAddress
  readonly #routerV4: Address | undefined
  readonly #routerV6: Address | undefined
  readonly #budget = new RateBudget(ANNOUNCEMENTS_PER_SECOND, ANNOUNCEMENTS_AT_ONCE)
  readonly #places: AddressPlaces
  readonly #high: Int32Array
  readonly #low: Int32Array
  readonly #noticedAt: Float64Array
  readonly #isLessOfUse = (place: number, other: number): boolean => this.#use(place) < this.#use(other)
  #isEmpty = true
  #announceV4: AnnounceHostNeighbour | undefined
  #announceV6: AnnounceHostNeighbour | undefined
  /** The address looked up last, and the result. Nobody has the unspecified address, so its result always holds. */
  readonly #asked = new Address()
  readonly #answer = new MacAddress()

  /** @param lastHeard the station heard last; while it is broadcast, there is no station to receive announcements */
  constructor(
    clock: Clock,
    random: Random,
    ourMac: MacAddress,
    stations: Stations,
    lastHeard: MacAddress,
    { ourAddresses = [], routerV4, routerV6, mostHostNeighbours = DEFAULT_CAPACITY }: HostNeighbourOptions,
  ) {
    this.#clock = clock
    this.#ourMac = ourMac
    this.#stations = stations
    this.#lastHeard = lastHeard
    this.#routerV4 = routerV4?.clone()
    this.#routerV6 = routerV6?.clone()
    this.#places = new AddressPlaces(random, mostHostNeighbours)
    this.#high = new Int32Array(mostHostNeighbours)
    this.#low = new Int32Array(mostHostNeighbours)
    this.#noticedAt = new Float64Array(mostHostNeighbours)
    this.#forgetAnswer()
    stations.onChange = () => this.#forgetAnswer()
    for (const address of ourAddresses) this.#put(address, ourMac, FOR_EVER)
  }

  announceWith(isV4: boolean, announce: AnnounceHostNeighbour): void {
    if (isV4) this.#announceV4 = announce
    else this.#announceV6 = announce
  }

  macOf(address: Address): MacAddress {
    if (!this.#asked.equals(address)) this.#find(address)
    return this.#answer
  }

  has(address: Address): boolean {
    const place = this.#places.find(address)
    return place >= 0 && this.#noticedAt[place] !== FOR_EVER
  }

  shows(address: Address, mac: MacAddress): boolean {
    return !mac.equals(this.#ourMac) && this.macOf(address).equals(mac)
  }

  notice(address: Address, mac: MacAddress): void {
    if (!address.isUnicast || address.isLoopback || mac.isMulticast || mac.isZero) return
    const { high, low } = this.macOf(address)
    if (!this.#put(address, mac, this.#clock.now)) return
    this.#isEmpty = false
    this.#forgetAnswer()
    const shown = this.macOf(address)
    if (shown.high !== high || shown.low !== low) this.#announce(address)
  }

  /** Finds the Ethernet address for an IP address. */
  #find(address: Address): void {
    const answer = this.#answer.copyFrom(this.#ourMac)
    this.#asked.copyFrom(address)
    if (this.#isEmpty) return
    let place = this.#places.find(address)
    if (place < 0) {
      const router = address.isV4 ? this.#routerV4 : this.#routerV6
      place = router === undefined ? -1 : this.#places.find(router)
    }
    if (place >= 0 && this.#stations.find(this.#high[place], this.#low[place]) === NO_STATION) {
      answer.high = this.#high[place]
      answer.low = this.#low[place]
    }
  }

  #forgetAnswer(): void {
    this.#asked.copyFrom(UNSPECIFIED_V6)
    this.#answer.copyFrom(this.#ourMac)
  }

  #announce(address: Address): void {
    const announce = address.isV4 ? this.#announceV4 : this.#announceV6
    if (announce === undefined || this.#lastHeard.isBroadcast || !this.#budget.take(this.#clock.now)) return
    announce(address)
  }

  /** Returns false if nothing is to be put there. */
  #put(address: Address, mac: MacAddress, now: number): boolean {
    let place = this.#places.find(address)
    if (place < 0) place = this.#places.take(address, this.#isLessOfUse)
    else if (this.#noticedAt[place] === FOR_EVER) return false
    this.#high[place] = mac.high
    this.#low[place] = mac.low
    this.#noticedAt[place] = now
    return true
  }

  #use(place: number): number {
    return this.#places.isFree(place) ? Number.NEGATIVE_INFINITY : this.#noticedAt[place]
  }
}
