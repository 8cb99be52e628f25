import type { FlowIndex } from "./flow-table.ts"

/** A flow that may stand in the list. */
export interface MayGiveWay {
  readonly flow: FlowIndex
  /** Whether a socket is closed where it gives way: one that no other flow shares, or whose flows give way together. */
  readonly holdsSocket: boolean
  /** Whether it stands there, and its neighbours: kept by the list. */
  isDispensable: boolean
  older: MayGiveWay | undefined
  newer: MayGiveWay | undefined
}

/**
 * Flows of a protocol that give way where flows or sockets are scarce: the one that was added longest ago first.
 *
 * A protocol keeps flows here that cost little to lose, which anybody could begin, or a guest in any number.
 */
export class DispensableFlows {
  #oldest: MayGiveWay | undefined
  #newest: MayGiveWay | undefined
  #count = 0

  get count(): number {
    return this.#count
  }

  get oldest(): MayGiveWay | undefined {
    return this.#oldest
  }

  add(flow: MayGiveWay): void {
    flow.isDispensable = true
    flow.older = this.#newest
    if (this.#newest === undefined) this.#oldest = flow
    else this.#newest.newer = flow
    this.#newest = flow
    this.#count++
  }

  /** Does nothing for a flow that doesn't stand here. */
  remove(flow: MayGiveWay): void {
    if (!flow.isDispensable) return
    flow.isDispensable = false
    const { older, newer } = flow
    if (older === undefined) this.#oldest = newer
    else older.newer = newer
    if (newer === undefined) this.#newest = older
    else newer.older = older
    flow.older = flow.newer = undefined
    this.#count--
  }

  /** The oldest one that a socket is closed with: what gives way where sockets are scarce. */
  get oldestWithSocket(): MayGiveWay | undefined {
    let flow = this.#oldest
    while (flow !== undefined && !flow.holdsSocket) flow = flow.newer
    return flow
  }
}
