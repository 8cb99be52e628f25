import type { Address } from "./address.ts"
import type { Demiflow } from "./demiflow.ts"
import type { DropReason } from "./drops.ts"
import type { GuestEnds } from "./guest.ts"
import type { Listener } from "./listener.ts"

/** The answer of {@link Forwarding.target}: the flow may go ahead. */
export const FORWARD = -1

/**
 * From where to where: the pure policy that derives the target side of a flow from the initiating side. The
 * implementation is in `@demiflow/flow`.
 */
export interface Forwarding {
  /**
   * The one reason, of those that {@link Forwarding.target} answers, that the guest hears of: as from a firewall, that it is
   * administratively prohibited. Absent: none.
   */
  readonly prohibited?: DropReason
  /**
   * Fills `target` with the side on which a flow leaves that began on `initiating`. Answers {@link FORWARD}, or the
   * reason for which there is no such side.
   *
   * @param protocol IP protocol number
   */
  target(protocol: number, initiating: Demiflow, target: Demiflow): DropReason | typeof FORWARD
  /**
   * Whether flows of one version of IP leave by an address that is given beforehand, but for those to the host's loopback. The
   * host chooses otherwise.
   */
  hasOutboundAddress(isV4: boolean): boolean
  /**
   * Fills `target` with the side on which a flow reaches the guest that began on `initiating`, at the listener. Answers
   * {@link FORWARD}, or the reason for which there is no such side.
   */
  targetAtGuest(
    listener: Listener,
    initiating: Demiflow,
    guest: GuestEnds,
    target: Demiflow,
  ): DropReason | typeof FORWARD
  /**
   * The address under which the guest hears of a correspondent that has `source` on the host. Undefined if the guest can hear
   * nothing from there: from a loopback address without a name of its own, say.
   */
  sourceTowardsGuest(source: Address, guest: GuestEnds): Readonly<Address> | undefined
  /**
   * Fills `address` with the address under which the guest knows a third party that the host knows as `address`: for
   * errors that a router on the way reports.
   */
  translateToGuest(address: Address): void
}
