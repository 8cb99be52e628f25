import type { Neighbours } from "@demiflow/core"

/** What a guest without a link knows of stations: nothing. */
export const noNeighbours: Neighbours = {
  announce() {},
  isAnnounced: () => false,
  startsOver() {},
  askWith() {},
}
