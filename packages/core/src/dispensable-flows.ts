import type { FlowIndex } from "./flow-table.ts"
import { type Listed, UseList } from "./use-list.ts"

/** A flow that may stand in the list. */
export interface MayGiveWay extends Listed<MayGiveWay> {
  readonly flow: FlowIndex
  /** Whether a socket is closed where it gives way: one that no other flow shares, or whose flows give way together. */
  readonly holdsSocket: boolean
}

/**
 * Flows of a protocol that give way where flows or sockets are scarce: the one that was added longest ago first.
 *
 * A protocol keeps flows here that cost little to lose, which anybody could begin, or a guest in any number.
 */
export class DispensableFlows extends UseList<MayGiveWay> {
  /** The oldest one that a socket is closed with: what gives way where sockets are scarce. */
  get oldestWithSocket(): MayGiveWay | undefined {
    let flow = this.oldest
    while (flow !== undefined && !flow.holdsSocket) flow = flow.newer
    return flow
  }
}
