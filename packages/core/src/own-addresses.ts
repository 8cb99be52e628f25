import type { Address } from "./address.ts"

/** Which addresses are the host's own. */
export interface OwnAddresses {
  /**
   * True if the host itself currently receives what is sent to the address: because one of its interfaces has the
   * address, or by a route alone. True also if that can't be determined.
   *
   * @param address a unicast one
   */
  isOwn(address: Readonly<Address>): boolean
}
