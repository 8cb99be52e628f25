/**
 * The Ethernet addresses of the host's neighbours, as the guest sees them: theory of operation.
 *
 * A guest whose addresses are those of the host finds its network as the host does: ARP and neighbour discovery answer with
 * a neighbour's own Ethernet address, and packets from the neighbour come from there. What isn't a neighbour is at our
 * Ethernet address, or, if that is a host of its own in the guest's eyes, at the router's: packets from elsewhere come from
 * the router on any network. Nothing depends on it: a frame of the guest's is ours whichever of these addresses it goes to.
 *
 * Somebody watches the host's neighbours and reports each with `notice`. What was reported stays until another neighbour takes
 * its place: the host forgets neighbours that it hasn't spoken to for a while, and a guest should not see addresses change
 * for that. When a neighbour shows another Ethernet address than before, ARP and neighbour discovery announce it.
 *
 * Never shown are the Ethernet addresses of stations of the guest's link: a bridge there would take the frame for its own
 * station's, or send that station's frames to us. So a neighbour with such an address is at ours, as long as the station is
 * known.
 *
 * Memory. A fixed number of places, eight for each hash; the neighbour that was reported longest ago makes room. Announcements
 * are limited, as others cause them. Headers are written for each packet, so that a change counts from the next one
 * on; a packet of the same flow as the one before costs a comparison.
 */
import {
  Address,
  type AnnounceHostNeighbour,
  type Clock,
  type HostNeighbours,
  MacAddress,
  type Random,
  RateBudget,
  UNSPECIFIED_V6,
} from "@demiflow/core"
import { AddressPlaces } from "./address-places.ts"
import { NO_STATION, type Stations } from "./stations.ts"

/** More than the kernel keeps of both versions of IP by default (`gc_thresh3` of arp(7), 1,024 each). */
const CAPACITY = 4096
const ANNOUNCEMENTS_PER_SECOND = 16
const ANNOUNCEMENTS_AT_ONCE = 64
/** Of addresses that are ours for good. */
const FOR_EVER = Number.POSITIVE_INFINITY

/** Which addresses aren't neighbours' for the guest, whatever is reported. */
export interface HostNeighbourOptions {
  /** Addresses at which we are ourselves, such as a gateway that leads to the host's loopback. */
  readonly ourAddresses?: readonly Readonly<Address>[]
  /** The host's routers, where they are reached as such: what isn't a neighbour is at their Ethernet address. */
  readonly routerV4?: Readonly<Address>
  readonly routerV6?: Readonly<Address>
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
  readonly #high = new Int32Array(CAPACITY)
  readonly #low = new Int32Array(CAPACITY)
  readonly #noticedAt = new Float64Array(CAPACITY)
  readonly #isLessOfUse = (place: number, other: number): boolean => this.#use(place) < this.#use(other)
  #isEmpty = true
  #announceV4: AnnounceHostNeighbour | undefined
  #announceV6: AnnounceHostNeighbour | undefined
  /** The address that was asked for last, and the answer. Nobody has the unspecified one: its answer always holds. */
  readonly #asked = new Address()
  readonly #answer = new MacAddress()

  /** @param lastHeard the station heard last, broadcast as long as there is none: nobody is there to hear announcements then */
  constructor(
    clock: Clock,
    random: Random,
    ourMac: MacAddress,
    stations: Stations,
    lastHeard: MacAddress,
    { ourAddresses = [], routerV4, routerV6 }: HostNeighbourOptions,
  ) {
    this.#clock = clock
    this.#ourMac = ourMac
    this.#stations = stations
    this.#lastHeard = lastHeard
    this.#routerV4 = routerV4?.clone()
    this.#routerV6 = routerV6?.clone()
    this.#places = new AddressPlaces(random, CAPACITY)
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

  /** Finds the answer for an address. */
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

  /** False if nothing is to be put there. */
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
