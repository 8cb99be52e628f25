import type { Address } from "./address.ts"
import type { MacAddress } from "./mac-address.ts"

/** Sends a question for an address of the guest's link: to one station if `station` is given, else to all. */
export type AskForNeighbour = (address: Address, station: MacAddress | undefined) => void

/**
 * The stations of the guest's link, and the addresses that they have there (RFC 826; RFC 4861, section 5.1). The guest is
 * one station or several: a bridge with virtual machines behind it, say. The implementation is in `@demiflow/tap`, which
 * learns addresses from every packet as well.
 */
export interface Neighbours {
  /**
   * A station said that it has the address, in a message of ARP or neighbour discovery.
   *
   * @param mayMove false to keep the station that is known to have the address, if there is one
   */
  announce(address: Address, station: MacAddress, mayMove: boolean): void
  /**
   * True for an address that a station announced, and from which that station sent something within the last five minutes:
   * nobody else answers for it.
   */
  isAnnounced(address: Address): boolean
  /**
   * A station asks for an address as one that has none, by DHCP: it may be set up differently than before.
   *
   * @param wasStarted true if it was started, or started again; false if it may have run on and only lost its link
   */
  startsOver(station: MacAddress, wasStarted: boolean): void
  /** Names what asks for addresses of one IP version. Called when a packet is to leave whose station isn't known. */
  askWith(isV4: boolean, ask: AskForNeighbour): void
}
