/** The set-up of the cases: a guest that either program has connected. */
import type { Place } from "../harness/places.ts"
import type { Family } from "../harness/topology.ts"

export interface Running {
  /** Where the clients run: in the guest. Where ports are forwarded to the guest, outside. */
  readonly guest: Place
  /** The addresses of the servers; in the world, on its own addresses, when absent. */
  readonly families?: readonly Family[]
}

/** Also has the data path. */
export interface RunningProcess extends Running {
  readonly dataPath: number
}
