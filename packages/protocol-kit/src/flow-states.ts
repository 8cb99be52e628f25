import { type FlowIndex, flowOf, type SideRef } from "@demiflow/core"

/**
 * What a protocol keeps for each of its flows, by flow. Looking a state up costs an array access.
 *
 * States of ended flows may be kept and used again, so that flows don't allocate in the long run:
 * {@link FlowStates.keep} and {@link FlowStates.spare}.
 */
export class FlowStates<State extends object> implements Iterable<State> {
  /** Dense: grown one by one, so that V8 never turns it into a dictionary. */
  readonly #byFlow: (State | undefined)[] = []
  readonly #spare: State[] = []

  /** Returns the state of a flow; undefined if the flow has none here. */
  get(flow: FlowIndex): State | undefined {
    return flow >= 0 && flow < this.#byFlow.length ? this.#byFlow[flow] : undefined
  }

  /** Returns the state of a side's flow; undefined for a negative side. */
  of(side: SideRef): State | undefined {
    return this.get(flowOf(side))
  }

  /** Adds the state of a new flow. */
  add(flow: FlowIndex, state: State): void {
    while (this.#byFlow.length <= flow) this.#byFlow.push(undefined)
    this.#byFlow[flow] = state
  }

  /** Removes the state of a flow that has ended. */
  remove(flow: FlowIndex): void {
    if (flow >= 0 && flow < this.#byFlow.length) this.#byFlow[flow] = undefined
  }

  /** Keeps a removed state for {@link FlowStates.spare}. */
  keep(state: State): void {
    this.#spare.push(state)
  }

  /** Returns a state that was kept, with whatever its last flow has left in it; undefined if there is none. */
  spare(): State | undefined {
    return this.#spare.pop()
  }

  /** All states. Costs a pass over the array, and allocates: not for the path of packets. */
  *[Symbol.iterator](): Iterator<State> {
    for (const state of this.#byFlow) if (state !== undefined) yield state
  }
}
