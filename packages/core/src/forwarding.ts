import type { Address } from "./address.ts"
import type { Demiflow } from "./demiflow.ts"
import type { GuestEnds } from "./guest.ts"
import type { Listener } from "./listener.ts"
import type { Ruling } from "./ruling.ts"
import type { DecidedVerdictId, Patience, VerdictId } from "./verdict.ts"

/**
 * The forwarding policy: derives the target side of a flow from the initiating side, or decides that there is no such
 * flow. The implementation is in `@demiflow/flow`. Protocols ask it through `Components.verdicts`.
 *
 * Whatever a method throws costs the flow in question: `stack: policy failed` counts it, and the flow is dropped.
 */
export interface Forwarding {
  /** Present if a verdict may be `later`. Without it, packets of flows that wait are dropped instead of kept. */
  readonly patience?: Patience
  /**
   * Decides about a flow that began on `initiating`, at the guest: fills in `ruling`, and returns the result of one of
   * its methods.
   *
   * @param protocol IP protocol number
   */
  target(protocol: number, initiating: Demiflow, ruling: Ruling): VerdictId
  /**
   * Decides whether a flow that the guest has begun on `initiating` may go on; called now and then. Absent: all may.
   *
   * @param protocol IP protocol number
   */
  again?(protocol: number, initiating: Demiflow, ruling: Ruling): DecidedVerdictId
  /**
   * Whether flows of one version of IP, except those to the host's loopback, leave from a configured address. Otherwise
   * the host chooses the address.
   */
  hasOutboundAddress(isV4: boolean): boolean
  /** As {@link Forwarding.target}, for a flow that began on `initiating`, at the listener. */
  targetAtGuest(listener: Listener, initiating: Demiflow, guest: GuestEnds, ruling: Ruling): VerdictId
  /**
   * The address by which the guest sees a correspondent that has `source` on the host. Undefined if the guest can
   * receive nothing from there: from a loopback address without an alias, for instance.
   */
  sourceTowardsGuest(source: Address, guest: GuestEnds): Readonly<Address> | undefined
  /**
   * Translates, in place, the host's address of a third party to the address by which the guest knows it: for errors
   * that a router on the way reports.
   */
  translateToGuest(address: Address): void
}
