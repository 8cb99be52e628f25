import { Address, type Clock, MacAddress } from "@demiflow/core"
import type { GuestAddresses } from "../neighbours/guest-addresses.ts"
import { readGroup } from "./headers.ts"

/**
 * Ethernet destinations of packets to the guest. Most packets of a turn go to the same address as the previous one:
 * unless an address was learnt in between, they go to the same station, and cost a comparison.
 */
export class Targets {
  readonly #clock: Clock
  readonly #guest: GuestAddresses
  readonly #target = new MacAddress()
  readonly #address = new Address()
  /** When the target was found; NaN if it can't be reused. */
  #foundAt = Number.NaN
  #version = 0

  constructor(clock: Clock, guest: GuestAddresses) {
    this.#clock = clock
    this.#guest = guest
  }

  /** Returns the Ethernet address of a group, or of the station that has the address. Valid until the next call. */
  of(address: Address): MacAddress {
    const isKept =
      this.#clock.now === this.#foundAt &&
      this.#guest.neighbours.version === this.#version &&
      this.#address.equals(address)
    if (!isKept) this.#find(address)
    return this.#target
  }

  /** Returns the same for a reply to a station. */
  answering(station: MacAddress, address: Address): MacAddress {
    const target = this.#target
    this.#foundAt = Number.NaN
    return readGroup(address, target) ? target : target.copyFrom(station)
  }

  #find(address: Address): void {
    const { neighbours, mac } = this.#guest
    this.#foundAt = Number.NaN
    if (readGroup(address, this.#target)) return
    if (!neighbours.resolve(address)) {
      this.#target.copyFrom(mac)
      return
    }
    this.#target.copyFrom(neighbours.station)
    this.#address.copyFrom(address)
    this.#version = neighbours.version
    this.#foundAt = this.#clock.now
  }
}
