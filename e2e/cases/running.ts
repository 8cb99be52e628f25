/** What the cases need to be set up: a guest that is connected, by whichever program. */
import type { Place } from "../harness/places.ts"
import type { Family } from "../harness/topology.ts"

export interface Running {
  /** Where the clients run: in the guest. Where ports are forwarded to the guest, outside. */
  readonly guest: Place
  /** Where the servers are to be reached; in the world, on its own addresses, when absent. */
  readonly families?: readonly Family[]
}

/** With the process that moves the frames. */
export interface RunningProcess extends Running {
  readonly dataPath: number
}
