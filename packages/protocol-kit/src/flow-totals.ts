import type { FlowTotals } from "@demiflow/core"

/** Returns the totals that the state of a flow has, and nothing else of it. */
export function totalsOf(state: Required<FlowTotals>): FlowTotals {
  const { packetsFromGuest, packetsToGuest, bytesFromGuest, bytesToGuest } = state
  return { packetsFromGuest, packetsToGuest, bytesFromGuest, bytesToGuest }
}
