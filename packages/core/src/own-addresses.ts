import type { Address } from "./address.ts"

/** Which addresses are the host's own. */
export interface OwnAddresses {
  /**
   * True if the host takes what is sent to the address itself, at this moment: on whichever of its interfaces it has the
   * address, or by a route alone. True also if that can't be found out.
   *
   * @param address a unicast one
   */
  isOwn(address: Readonly<Address>): boolean
}
