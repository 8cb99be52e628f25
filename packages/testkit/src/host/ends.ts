import type { Demiflow } from "@demiflow/core"

/** Fills in both ends of a demiflow, but not its interface. */
export function copyEnds(from: Demiflow, to: Demiflow): void {
  to.forwardingAddress.copyFrom(from.forwardingAddress)
  to.forwardingPort = from.forwardingPort
  to.correspondentAddress.copyFrom(from.correspondentAddress)
  to.correspondentPort = from.correspondentPort
}
