import { type Components, Demiflow, type DropReason, FORWARD, Interface, type SharedPort } from "@demiflow/core"
import type { Beginnings } from "./beginnings.ts"
import { ListeningPort } from "./listening-port.ts"
import type { SplicedFlow } from "./local/spliced-flow.ts"
import type { Splicing } from "./local/splicing.ts"
import type { UdpReasons } from "./reasons.ts"
import type { UdpFlow } from "./state.ts"

/**
 * What becomes of datagrams whose sender and the guest don't know each other by any flow.
 *
 * At a listening port, the policy says. At a port of the guest's, those are passed on that come from an address which the guest
 * corresponds with from there: a TFTP server answers from another port than the one that was asked (RFC 1350, section 4), and
 * a NAT in front of the correspondent may have it speak from another one. If the guest has sent to a group from there, anybody
 * may answer (mDNS, SSDP), under the name by which the policy lets the guest hear of the sender, if at all. All else is
 * dropped (RFC 4787, REQ-8).
 */
export class Newcomers {
  readonly #components: Components
  readonly #reasons: UdpReasons
  readonly #beginnings: Beginnings
  /** Absent where there is no local path. */
  readonly #splicing: Splicing | undefined
  readonly #target = new Demiflow()

  constructor(components: Components, reasons: UdpReasons, beginnings: Beginnings, splicing: Splicing | undefined) {
    this.#components = components
    this.#reasons = reasons
    this.#beginnings = beginnings
    this.#splicing = splicing
  }

  /**
   * The flow that begins with datagrams from `initiating`, a side of the host or of the namespace. If there can be none, they
   * are counted as dropped.
   *
   * @param scope as for `Host.sendDatagramsTo`
   * @param count how many datagrams
   */
  begin(port: SharedPort, initiating: Demiflow, scope: number, count: number): UdpFlow | SplicedFlow | undefined {
    if (initiating.correspondentPort === 0) return this.#drop(this.#reasons.portZero, count)
    if (this.#beginnings.groupSenders.have(initiating)) return this.#drop(this.#reasons.ownGroup, count)
    if (!(port instanceof ListeningPort)) return this.#answer(port, initiating, scope, count)
    const target = this.#target
    const { forwarding, guest } = this.#components
    const verdict = forwarding.targetAtGuest(port.listener, initiating, guest, target)
    if (verdict !== FORWARD) return this.#drop(verdict, count)
    const isForGuest = target.interface === Interface.tap
    if (isForGuest ? !port.needsGuest : this.#splicing === undefined) return this.#drop(this.#reasons.openFailed, count)
    const flow = isForGuest
      ? this.#beginnings.fromHost(port, initiating, target, scope, count)
      : this.#splicing?.begin(port, initiating, target, scope, count)
    if (flow !== undefined) port.noteAddresses(initiating.forwardingAddress, target.correspondentAddress)
    return flow
  }

  /** At a port of the guest's. */
  #answer(port: SharedPort, initiating: Demiflow, scope: number, count: number): UdpFlow | undefined {
    const { flows, forwarding, guest } = this.#components
    const target = this.#target
    const known = this.#beginnings.correspondentAt(port, initiating.correspondentAddress)
    const asked = known ?? this.#beginnings.groupSenders.newestAt(port)
    const isNamesake = known !== undefined && known.scope !== scope
    if (asked === undefined || isNamesake) return this.#drop(this.#reasons.stranger, count)
    flows.readSide(asked.tapSide, target)
    target.forwardingPort = initiating.correspondentPort
    if (known === undefined) {
      const seenAs = forwarding.sourceTowardsGuest(initiating.correspondentAddress, guest)
      if (seenAs === undefined) return this.#drop(this.#reasons.noSource, count)
      target.forwardingAddress.copyFrom(seenAs)
    }
    return this.#beginnings.fromHost(port, initiating, target, scope, count)
  }

  #drop(reason: DropReason, count: number): undefined {
    this.#components.drops.count(reason, count)
  }
}
