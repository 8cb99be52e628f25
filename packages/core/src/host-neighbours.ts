import type { Address } from "./address.ts"
import type { MacAddress } from "./mac-address.ts"

/** Has the guest hear at which Ethernet address this address is now. Valid during the call. */
export type AnnounceHostNeighbour = (address: Address) => void

/**
 * The neighbours that the host has on its own network: in the guest they show the Ethernet addresses that they have there.
 * Not to be confused with `Neighbours`, the stations of the guest's link. The implementation is in `@demiflow/tap`. Where
 * nobody reports neighbours of the host, every address is at our own Ethernet address.
 */
export interface HostNeighbours {
  /**
   * The Ethernet address at which the guest finds an address that isn't the guest's: the neighbour's own, or ours. Valid
   * until the next call, and until the next packet is begun.
   */
  macOf(address: Address): MacAddress
  /** True if the address is known to be a neighbour's. */
  has(address: Address): boolean
  /** True if the Ethernet address isn't ours, and the guest finds the address there. */
  shows(address: Address, mac: MacAddress): boolean
  /** The host has learnt at which Ethernet address a neighbour is. Copies both. */
  notice(address: Address, mac: MacAddress): void
  /** Names what announces neighbours of one IP version. Called at a limited rate, when what `macOf` answers has changed. */
  announceWith(isV4: boolean, announce: AnnounceHostNeighbour): void
}
