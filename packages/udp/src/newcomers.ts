import { type Components, type Demiflow, type DropReason, Interface, Ruling, Verdict } from "@demiflow/core"
import type { SharedPort } from "@demiflow/protocol-kit"
import type { Beginnings } from "./beginnings.ts"
import { ListeningPort } from "./listening-port.ts"
import type { SplicedFlow } from "./local/spliced-flow.ts"
import type { Splicing } from "./local/splicing.ts"
import type { UdpReasons } from "./reasons.ts"
import type { UdpFlow } from "./state.ts"

/**
 * Decides about datagrams that belong to no flow.
 *
 * At a listening port, the policy decides. At a guest's port, datagrams are delivered if they come from an address that
 * the guest corresponds with from there: a TFTP server answers from another port than the one that was asked (RFC 1350,
 * section 4), and a NAT in front of the correspondent may change its port. If the guest has sent to a group from there,
 * anybody may answer (mDNS, SSDP), under the address by which the policy shows the sender to the guest, if it has one.
 * All other datagrams are dropped (RFC 4787, REQ-8).
 */
export class Newcomers {
  readonly #components: Components
  readonly #reasons: UdpReasons
  readonly #beginnings: Beginnings
  /** Undefined where there is no local path. */
  readonly #splicing: Splicing | undefined
  readonly #ruling = new Ruling()

  constructor(components: Components, reasons: UdpReasons, beginnings: Beginnings, splicing: Splicing | undefined) {
    this.#components = components
    this.#reasons = reasons
    this.#beginnings = beginnings
    this.#splicing = splicing
  }

  /**
   * Begins a flow for datagrams from `initiating`, a side of the host or of the namespace. If that fails, they are
   * counted as dropped.
   *
   * @param scope as for `Sockets.sendDatagramsTo`
   * @param count number of datagrams
   */
  begin(port: SharedPort, initiating: Demiflow, scope: number, count: number): UdpFlow | SplicedFlow | undefined {
    if (initiating.correspondentPort === 0) return this.#drop(this.#reasons.portZero, count)
    if (this.#beginnings.groupSenders.have(initiating)) return this.#drop(this.#reasons.ownGroup, count)
    if (!(port instanceof ListeningPort)) return this.#answer(port, initiating, scope, count)
    const ruling = this.#ruling
    const { target } = ruling
    // A socket can't refuse a datagram. While the policy hasn't decided, datagrams are dropped: the sender repeats
    // them.
    const verdict = this.#components.verdicts.towardsGuest(port.listener, initiating, ruling)
    if (verdict !== Verdict.forward) return this.#drop(ruling.reason, count)
    const isForGuest = target.interface === Interface.tap
    if (isForGuest ? !port.needsGuest : this.#splicing === undefined) return this.#drop(this.#reasons.openFailed, count)
    const flow = isForGuest
      ? this.#beginnings.fromHost(port, initiating, target, ruling.rule, scope, count)
      : this.#splicing?.begin(port, initiating, target, ruling.rule, scope, count)
    if (flow !== undefined) port.noteAddresses(initiating.forwardingAddress, target.correspondentAddress)
    return flow
  }

  /** Begins a flow for datagrams at a guest's port. */
  #answer(port: SharedPort, initiating: Demiflow, scope: number, count: number): UdpFlow | undefined {
    const { flows, forwarding, guest } = this.#components
    const { target } = this.#ruling
    const known = this.#beginnings.correspondentAt(port, initiating.correspondentAddress)
    const asked = known ?? this.#beginnings.groupSenders.newestAt(port)
    const isNamesake = known !== undefined && known.scope !== scope
    // RFC 4787 REQ-8 MAY: datagrams pass from addresses alone that the port of the guest has sent to
    if (asked === undefined || isNamesake) return this.#drop(this.#reasons.stranger, count)
    flows.readSide(asked.tapSide, target)
    target.forwardingPort = initiating.correspondentPort
    if (known === undefined) {
      const seenAs = forwarding.sourceTowardsGuest(initiating.correspondentAddress, guest)
      if (seenAs === undefined) return this.#drop(this.#reasons.noSource, count)
      target.forwardingAddress.copyFrom(seenAs)
    }
    return this.#beginnings.fromHost(port, initiating, target, flows.ruleOf(asked.flow), scope, count)
  }

  #drop(reason: DropReason, count: number): undefined {
    this.#components.drops.count(reason, count)
  }
}
