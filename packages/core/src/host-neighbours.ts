import type { Address } from "./address.ts"
import type { MacAddress } from "./mac-address.ts"

/** Announces to the guest the current Ethernet address of this IP address. The address is valid during the call. */
export type AnnounceHostNeighbour = (address: Address) => void

/**
 * The neighbours that the host has on its own network: the guest sees the Ethernet addresses that they have there. Not
 * to be confused with `Neighbours`, the stations of the guest's link. The implementation is in `@demiflow/tap`. Without
 * reports about the host's neighbours, every address is at our own Ethernet address.
 */
export interface HostNeighbours {
  /**
   * The Ethernet address at which the guest finds an address that isn't its own: the neighbour's, or ours. Valid until
   * the next call, and until the next packet is begun.
   */
  macOf(address: Address): MacAddress
  /** True if the address is known to be a neighbour's. */
  has(address: Address): boolean
  /** True if the Ethernet address isn't ours, and the guest finds the address there. */
  shows(address: Address, mac: MacAddress): boolean
  /** Records the Ethernet address of a neighbour of the host. Copies both. */
  notice(address: Address, mac: MacAddress): void
  /**
   * Sets what announces neighbours of one IP version. Called at a limited rate, when a result of `macOf` has changed.
   */
  announceWith(isV4: boolean, announce: AnnounceHostNeighbour): void
}
