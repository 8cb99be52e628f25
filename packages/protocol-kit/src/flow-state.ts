import { type FlowIndex, initiatingSide, type SideRef, targetSide } from "@demiflow/core"
import type { MayGiveWay } from "./giving-way.ts"
import type { UseList } from "./use-list.ts"
import type { Waiting } from "./waiting-list.ts"

/** The base of what a {@link FlowHandler} keeps for a flow. Protocols add what is theirs. */
export class FlowState implements MayGiveWay, Waiting {
  /** Set when the flow begins; negative before. */
  flow: FlowIndex = -1 as FlowIndex
  /** Clock milliseconds of the last use. */
  lastActivity = 0
  /** Packets, as in `FlowTotals` of core. */
  packetsFromGuest = 0
  packetsToGuest = 0
  isWaiting = false
  readonly needsGuest: boolean = true
  list: UseList<MayGiveWay> | undefined = undefined
  older: MayGiveWay | undefined = undefined
  newer: MayGiveWay | undefined = undefined
  listedAt = 0

  /** The side towards the guest. */
  get tapSide(): SideRef {
    return initiatingSide(this.flow)
  }

  get hostSide(): SideRef {
    return targetSide(this.flow)
  }
}
