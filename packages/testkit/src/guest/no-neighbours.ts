import { type HostNeighbours, MacAddress, type Neighbours } from "@demiflow/core"

/** The station table of a guest without a link: always empty. */
export const noNeighbours: Neighbours = {
  announce() {},
  isAnnounced: () => false,
  startsOver() {},
  askWith() {},
}

const OUR_MAC = new MacAddress()

/** The host's neighbours of a guest without a link: none. */
export const noHostNeighbours: HostNeighbours = {
  macOf: () => OUR_MAC,
  has: () => false,
  shows: () => false,
  notice() {},
  announceWith() {},
}
