import type { Arena } from "./arena.ts"
import type { Clock } from "./clock.ts"
import { Demiflow, Interface } from "./demiflow.ts"
import type { DropReason } from "./drops.ts"
import { FORWARD, type Forwarding } from "./forwarding.ts"
import type { Guest } from "./guest.ts"
import { IcmpErrors } from "./icmp-error.ts"
import type { MacAddress } from "./mac-address.ts"
import { icmpErrorBudget } from "./rate-budget.ts"

/** What a refusal needs of a stack's parts. */
export interface RefusalParts {
  readonly arena: Arena
  readonly guest: Guest
  readonly forwarding: Forwarding
  readonly clock: Clock
}

/**
 * Refuses packets of the guest that can't be carried: reports that by an ICMP error, at a limited rate (RFC 4443,
 * section 2.4 (f)), if the policy has a target for the packet. Holds scratch space; make one per handler.
 */
export class PacketRefusal {
  readonly #forwarding: Forwarding
  readonly #clock: Clock
  readonly #icmp: IcmpErrors
  readonly #budget = icmpErrorBudget()
  readonly #target = new Demiflow(Interface.host)

  constructor({ arena, guest, forwarding, clock }: RefusalParts) {
    this.#forwarding = forwarding
    this.#clock = clock
    this.#icmp = new IcmpErrors(arena, guest)
  }

  /**
   * Refuses a packet. Answers the policy's reason to drop it if the policy has no target for it, else {@link FORWARD}. No
   * report is sent about a packet without a target, about one to a group or to everybody, at layer 2 or 3, or about one from
   * nobody (RFC 1122, section 3.2.2; RFC 4443, section 2.4 (e)). The packet must not be an ICMP error itself: the caller has
   * made sure of that.
   *
   * @param demiflow tap side of the packet
   * @param targetMac Ethernet destination of its frame
   * @param type ICMP type, or ICMPv6 type, as the demiflow's family is
   * @param information the four bytes behind the checksum
   * @param packetOffset arena offset of its IP header
   * @param packetEnd arena offset behind it
   */
  refuse(
    demiflow: Demiflow,
    targetMac: MacAddress,
    protocol: number,
    type: number,
    code: number,
    information: number,
    packetOffset: number,
    packetEnd: number,
  ): DropReason | typeof FORWARD {
    const verdict = this.#forwarding.target(protocol, demiflow, this.#target)
    if (verdict !== FORWARD || targetMac.isMulticast || !this.#budget.take(this.#clock.now)) return verdict
    this.#icmp.sendAbout(demiflow, type, code, information, packetOffset, packetEnd)
    return FORWARD
  }
}
