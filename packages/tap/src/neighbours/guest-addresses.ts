import {
  Address,
  type Clock,
  type HostNeighbours,
  MacAddress,
  type Random,
  UNSPECIFIED_V4,
  UNSPECIFIED_V6,
} from "@demiflow/core"
import { PathMtus } from "../to-guest/path-mtus.ts"
import { type HostNeighbourOptions, HostNeighbourTable } from "./host-neighbour-table.ts"
import { NeighbourTable } from "./neighbour-table.ts"
import { Reconnection } from "./reconnection.ts"
import { Stations } from "./stations.ts"

const BROADCAST = new MacAddress(0xffff, -1)

/** The addresses assigned to a guest, and how to treat others that it uses. */
export interface GuestAddressOptions {
  /** The addresses assigned to the guest: assumed to be in use until the guest is heard. */
  readonly guestV4?: Readonly<Address>
  readonly guestV6?: Readonly<Address>
  readonly guestLinkLocal?: Readonly<Address>
  /**
   * Prefix lengths of the assigned addresses' networks, 0–32 and 0–128. An address of another network is the guest's
   * only if a station announces it on the link: otherwise the guest forwards it, or has invented it. Absent: any
   * address may be the guest's.
   */
  readonly guestV4PrefixLength?: number
  readonly guestV6PrefixLength?: number
  /** True if what is started towards the guest always goes to its assigned address, whichever it uses. */
  readonly isGuestV4Fixed?: boolean
  readonly isGuestV6Fixed?: boolean
  /** Called for the first frame of each station. The address is valid during the call. */
  readonly onGuestMac?: (mac: MacAddress) => void
  /**
   * Called when the guest is another one than before `TapSide.reconnected`. End the flows (`Stack.stop`), call
   * `TapSide.forgetGuest`, and start the stack again.
   */
  readonly onOtherGuest?: () => void
}

/**
 * The stations of the guest's link with their addresses, and the addresses seen last. The latter are used only to start
 * something towards the guest: a reply to a packet of the guest goes to that packet's source.
 */
export class GuestAddresses {
  readonly neighbours: NeighbourTable
  readonly hostNeighbours: HostNeighbours
  readonly stations: Stations
  readonly paths: PathMtus
  readonly reconnection: Reconnection
  /** The station heard last; broadcast until a frame was received. */
  readonly mac: MacAddress = new MacAddress()
  readonly v4: Address = new Address()
  readonly v6: Address = new Address()
  readonly linkLocal: Address = new Address()
  readonly #options: GuestAddressOptions
  readonly #clock: Clock
  readonly #ourMac: MacAddress
  readonly #noticedStation = new MacAddress()
  readonly #noticedSource = new Address()
  /** When these two were noticed; NaN once something else has changed the state. */
  #noticedAt = Number.NaN

  /**
   * @param ourMac our own Ethernet address: a frame from there is one of ours, sent back, and reveals nothing about the
   *   guest
   */
  constructor(
    clock: Clock,
    random: Random,
    ourMac: MacAddress,
    unaskedMtu: number,
    options: GuestAddressOptions & HostNeighbourOptions,
  ) {
    this.#options = options
    this.#clock = clock
    this.#ourMac = ourMac
    this.stations = new Stations(clock, random, unaskedMtu)
    this.paths = new PathMtus(clock, random, unaskedMtu)
    this.hostNeighbours = new HostNeighbourTable(clock, random, ourMac, this.stations, this.mac, options)
    this.neighbours = new NeighbourTable(clock, random, ourMac, this.hostNeighbours)
    this.neighbours.onAnnounced = (address) => {
      this.#noticedAt = Number.NaN
      this.#use(address)
    }
    this.reconnection = new Reconnection(clock, this.stations)
    this.reconnection.onOtherGuest = options.onOtherGuest
    this.neighbours.onStartsOver = (station, wasStarted) => {
      this.stations.forgetMtus(station.high, station.low)
      // If another station has the guest's address, this station's start reveals nothing about the guest.
      if (wasStarted && !this.neighbours.isElsewhere(this.v4, station)) this.reconnection.wasStarted()
    }
    this.forget()
  }

  /** Forgets everything learnt about the guest. */
  forget(): void {
    const { guestV4 = UNSPECIFIED_V4, guestV6 = UNSPECIFIED_V6, guestLinkLocal = UNSPECIFIED_V6 } = this.#options
    this.mac.copyFrom(BROADCAST)
    this.v4.copyFrom(guestV4)
    this.v6.copyFrom(guestV6)
    this.linkLocal.copyFrom(guestLinkLocal)
    this.stations.forget()
    this.paths.forget()
    this.neighbours.forget()
    this.#noticedAt = Number.NaN
  }

  /**
   * Learns from both sources of a packet, IP and Ethernet. Copies them. Most packets of a turn come from the same
   * guest, and then only the first one is processed.
   */
  noticePacket(source: Address, station: MacAddress): void {
    const { now } = this.#clock
    if (now === this.#noticedAt && station.equals(this.#noticedStation) && source.equals(this.#noticedSource)) return
    if (!this.#isOurs(station, source)) {
      this.#noticeStation(station)
      if (!source.isUnspecified) {
        this.neighbours.learn(source, station)
        if (this.#isOfNetwork(source) || this.neighbours.isAnnounced(source)) this.#use(source)
      }
    }
    this.#noticedStation.copyFrom(station)
    this.#noticedSource.copyFrom(source)
    this.#noticedAt = now
  }

  /** Learns from the Ethernet source of a frame. Copies it. */
  noticeMac(source: MacAddress): void {
    this.#noticedAt = Number.NaN
    if (!this.#isOurs(source, undefined)) this.#noticeStation(source)
  }

  #noticeStation(station: MacAddress): void {
    this.mac.copyFrom(station)
    if (this.stations.notice(station.high, station.low)) this.#options.onGuestMac?.(station)
  }

  /**
   * Processes the Ethernet source of the first frame after {@link Reconnection.begin}, which shows whether the guest is
   * another one.
   */
  noticeFirst(station: MacAddress): void {
    if (!station.isMulticast && !station.isZero && !this.#isOurs(station, undefined))
      this.reconnection.frameFrom(station)
  }

  /** As core's `Guest.hasAddress`. */
  has(address: Address, isAssumed: boolean): boolean {
    const { isGuestV4Fixed, isGuestV6Fixed } = this.#options
    if (address.isV4 && isGuestV4Fixed) return address.equals(this.v4)
    if (!address.isV4 && isGuestV6Fixed) return address.equals(this.v6)
    return this.neighbours.has(address, isAssumed)
  }

  #use(source: Address): void {
    if (source.isV4) {
      if (this.#options.isGuestV4Fixed !== true) this.v4.word3 = source.word3
    } else if (source.isLinkLocal) this.linkLocal.copyFrom(source)
    else if (this.#options.isGuestV6Fixed !== true) this.v6.copyFrom(source)
  }

  /**
   * Returns true for a frame of ours that was sent back: from our Ethernet address, or from that of the neighbour of
   * the host whose packet it is. Returns false until another station was heard: a guest may have been assigned such an
   * address, and then works.
   */
  #isOurs(station: MacAddress, source: Address | undefined): boolean {
    if (this.mac.equals(station) || this.mac.isBroadcast) return false
    return station.equals(this.#ourMac) || (source !== undefined && this.hostNeighbours.shows(source, station))
  }

  #isOfNetwork(source: Address): boolean {
    const { guestV4, guestV6, guestV4PrefixLength, guestV6PrefixLength } = this.#options
    if (!source.isV4 && source.isLinkLocal) return true
    const assigned = source.isV4 ? guestV4 : guestV6
    const length = source.isV4 ? guestV4PrefixLength : guestV6PrefixLength
    return assigned === undefined || length === undefined || assigned.sharesPrefix(source, length)
  }
}
