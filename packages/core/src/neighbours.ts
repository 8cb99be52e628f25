import type { Address } from "./address.ts"
import type { MacAddress } from "./mac-address.ts"

/** Sends a request for an address on the guest's link: to one station if `station` is given, else to all. */
export type AskForNeighbour = (address: Address, station: MacAddress | undefined) => void

/**
 * The stations of the guest's link, and the addresses that they have there (RFC 826; RFC 4861, section 5.1). The guest
 * is one station or several: a bridge with virtual machines behind it, for instance. The implementation is in
 * `@demiflow/tap`, which also learns addresses from every packet.
 */
export interface Neighbours {
  /**
   * Records that a station announced the address, in a message of ARP or neighbour discovery.
   *
   * @param mayMove false to keep the station that is known to have the address, if there is one
   */
  announce(address: Address, station: MacAddress, mayMove: boolean): void
  /**
   * True if a station announced the address and sent something from it within the last five minutes: nobody else
   * replies for it.
   */
  isAnnounced(address: Address): boolean
  /**
   * Records that a station without an address requests one by DHCP: its configuration may change.
   *
   * @param wasStarted true if the station was started or restarted; false if it may have run on and only lost its link
   */
  startsOver(station: MacAddress, wasStarted: boolean): void
  /** Sets what asks for addresses of one IP version. Called for a packet to a station that isn't known. */
  askWith(isV4: boolean, ask: AskForNeighbour): void
}
