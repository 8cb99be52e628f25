import type { Demiflow } from "@demiflow/core"

/** Fills in both ends of a demiflow, and leaves its interface to whom it belongs. */
export function copyEnds(from: Demiflow, to: Demiflow): void {
  to.forwardingAddress.copyFrom(from.forwardingAddress)
  to.forwardingPort = from.forwardingPort
  to.correspondentAddress.copyFrom(from.correspondentAddress)
  to.correspondentPort = from.correspondentPort
}
