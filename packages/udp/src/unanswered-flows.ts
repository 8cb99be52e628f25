import type { FlowIndex } from "@demiflow/core"

/** A flow that may stand in the list. */
export interface MayBeUnanswered {
  readonly flow: FlowIndex
  /** Whether it has a socket that no other flow shares. */
  readonly holdsSocket: boolean
  /** Whether it stands there, and its neighbours: kept by the list. */
  isUnanswered: boolean
  older: MayBeUnanswered | undefined
  newer: MayBeUnanswered | undefined
}

/**
 * Flows that began at a listening port and that their target hasn't answered, in the order of their beginning.
 *
 * Anybody can begin such flows, under as many addresses as he can forge, and each takes a place in the flow table for a while.
 * So there is a limit to them, at which the oldest one gives way: a target that answers does so long before, and to one that
 * doesn't nothing is lost, since the next datagram of that sender begins a flow anew.
 */
export class UnansweredFlows {
  #oldest: MayBeUnanswered | undefined
  #newest: MayBeUnanswered | undefined
  #count = 0

  get count(): number {
    return this.#count
  }

  get oldest(): MayBeUnanswered | undefined {
    return this.#oldest
  }

  add(flow: MayBeUnanswered): void {
    flow.isUnanswered = true
    flow.older = this.#newest
    if (this.#newest === undefined) this.#oldest = flow
    else this.#newest.newer = flow
    this.#newest = flow
    this.#count++
  }

  /** The flow was answered, or has ended. Does nothing for a flow that doesn't stand here. */
  remove(flow: MayBeUnanswered): void {
    if (!flow.isUnanswered) return
    flow.isUnanswered = false
    const { older, newer } = flow
    if (older === undefined) this.#oldest = newer
    else older.newer = newer
    if (newer === undefined) this.#newest = older
    else newer.older = older
    flow.older = flow.newer = undefined
    this.#count--
  }
}
