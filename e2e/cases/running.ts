/** What the cases ask of whoever sets them up: a guest that is connected, by whichever program. */
import type { Place } from "../harness/places.ts"

export interface Running {
  /** Where the guest's programs run. */
  readonly guest: Place
}

/** With the process that moves the frames. */
export interface RunningProcess extends Running {
  readonly dataPath: number
}
