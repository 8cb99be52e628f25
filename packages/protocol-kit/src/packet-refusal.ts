import {
  type Arena,
  type Clock,
  type Demiflow,
  Errno,
  type Forwarding,
  type Guest,
  type MacAddress,
  Ruling,
  type Sequence,
  Verdict,
} from "@demiflow/core"
import { IcmpErrors } from "./icmp-error.ts"
import { icmpForm } from "./icmp-form.ts"
import { icmpErrorBudget } from "./rate-budget.ts"

/** What {@link PacketRefusal} needs from a stack's parts. */
export interface RefusalParts {
  readonly arena: Arena
  readonly guest: Guest
  readonly forwarding: Forwarding
  readonly clock: Clock
}

/**
 * Refuses packets of the guest that can't be forwarded: reports them with an ICMP error, at a limited rate (RFC 4443,
 * section 2.4 (f)). Holds scratch space; make one per handler.
 */
export class PacketRefusal {
  readonly #forwarding: Forwarding
  readonly #clock: Clock
  readonly #icmp: IcmpErrors
  readonly #budget = icmpErrorBudget()
  readonly #ruling = new Ruling()

  constructor({ arena, guest, forwarding, clock }: RefusalParts) {
    this.#forwarding = forwarding
    this.#clock = clock
    this.#icmp = new IcmpErrors(arena, guest)
  }

  /**
   * Reports a packet, unless the policy has no target for it or hasn't decided. The policy is asked no more often than
   * errors may be sent.
   *
   * @param demiflow tap side of the packet
   * @param targetMac Ethernet destination of its frame
   * @param type ICMP type, or ICMPv6 type, by the demiflow's family
   * @param information the four bytes behind the checksum
   * @param packetOffset arena offset of the packet's IP header
   * @param packetEnd arena offset behind the packet
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
  ): void {
    if (!this.#mayReport(targetMac)) return
    if (this.#forwarding.target(protocol, demiflow, this.#ruling) !== Verdict.forward) return
    this.#icmp.sendAbout(demiflow, type, code, information, packetOffset, packetEnd)
  }

  /**
   * Reports a packet that the policy would forward. No error is sent about a packet to a multicast or broadcast address
   * of layer 2 or 3, or from an unspecified address (RFC 1122, section 3.2.2; RFC 4443, section 2.4 (e)). The caller
   * must make sure that the packet is not an ICMP error itself. Parameters as in {@link PacketRefusal.refuse}.
   */
  report(
    demiflow: Demiflow,
    targetMac: MacAddress,
    type: number,
    code: number,
    information: number,
    packetOffset: number,
    packetEnd: number,
  ): void {
    if (!this.#mayReport(targetMac)) return
    this.#icmp.sendAbout(demiflow, type, code, information, packetOffset, packetEnd)
  }

  /** Reports that the policy refuses packet `index` of a sequence: "administratively prohibited". */
  prohibit(sequence: Sequence, index: number): void {
    const { demiflow, networkOffset, endOffset, targetMac } = sequence
    const form = icmpForm(Errno.EPERM, demiflow.isV4)
    this.report(demiflow, targetMac, form >> 8, form & 0xff, 0, networkOffset[index], endOffset[index])
  }

  /** Takes a token of the budget for a frame about which an error may be sent. */
  #mayReport(targetMac: MacAddress): boolean {
    // RFC 1122 3.2.2 (link) MUST NOT: no error is sent about a frame to a group or to all stations
    // RFC 4443 2.4 (rate) MUST: the number of errors is limited
    // RFC 1812 4.3.2.8 SHOULD: over IPv4, too
    return !targetMac.isMulticast && this.#budget.take(this.#clock.now)
  }
}
