import { type HostNeighbours, MacAddress, type Neighbours } from "@demiflow/core"

/** What a guest without a link knows of stations: nothing. */
export const noNeighbours: Neighbours = {
  announce() {},
  isAnnounced: () => false,
  startsOver() {},
  askWith() {},
}

const OUR_MAC = new MacAddress()

/** What a guest without a link shows of the host's neighbours: nothing. */
export const noHostNeighbours: HostNeighbours = {
  macOf: () => OUR_MAC,
  has: () => false,
  shows: () => false,
  notice() {},
  announceWith() {},
}
