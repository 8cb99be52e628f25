/**
 * UDP over the local path: from a socket of the host to one inside the guest's namespace, or the other way.
 *
 * A datagram begins a spliced flow if it arrives at a listening port and the policy splices it. On its initiating side,
 * the flow shares the listening socket, so that the sender gets answers from where it wrote to. At the other end, it
 * has a socket of its own, from any port, connected to the socket that listens there. `relay.ts` carries datagrams
 * between the two. The flow of a datagram is found by the initiating side if the listening socket received it, and
 * otherwise by the flow's own socket.
 *
 * The guest's link has no part in this. Flows continue while it is congested, and so do listeners inside the namespace.
 * Listeners on the host wait for it, since what arrives there may be for the link as well.
 *
 * Time-outs and limits are those of all flows. Anybody who reaches a listening port can forge as many senders as there
 * are ports, so flows that their target hasn't answered give way. Flows from inside the namespace are the guest's own.
 *
 * Not done: reporting errors at the other end to the sender. A socket can't.
 */
import {
  type Components,
  type Demiflow,
  type FlowIndex,
  type FlowTotals,
  Interface,
  type RuleId,
  type SideRef,
  type Socket,
  type Sockets,
  socketsAt,
  targetSide,
} from "@demiflow/core"
import type { SharedPort, WaitingList } from "@demiflow/protocol-kit"
import type { ErrorRelay } from "../error-relay.ts"
import type { PortsInUse } from "../ports-in-use.ts"
import type { Progress } from "../progress.ts"
import type { UdpReasons } from "../reasons.ts"
import type { Scarcity } from "../scarcity.ts"
import { isWellKnown, type Timeouts } from "../timeouts.ts"
import { Relay } from "./relay.ts"
import { ReportedErrors } from "./reported-errors.ts"
import { type SplicedFlow, SplicedFlows, type SplicedSide } from "./spliced-flow.ts"

/** The parts that {@link Splicing} works with. */
export interface SplicingParts {
  readonly components: Components
  readonly reasons: UdpReasons
  readonly errors: ErrorRelay
  readonly progress: Progress
  readonly scarcity: Scarcity
  readonly ports: PortsInUse
  readonly timeouts: Timeouts
  readonly waiting: Pick<WaitingList<SplicedSide>, "wait">
}

/** Begins and ends spliced flows. */
export class Splicing {
  readonly #components: Components
  readonly #reasons: UdpReasons
  readonly #scarcity: Scarcity
  readonly #ports: PortsInUse
  readonly #timeouts: Timeouts
  readonly #flows = new SplicedFlows()
  readonly #errors: ReportedErrors
  readonly relay: Relay

  constructor(parts: SplicingParts) {
    this.#components = parts.components
    this.#reasons = parts.reasons
    this.#scarcity = parts.scarcity
    this.#ports = parts.ports
    this.#timeouts = parts.timeouts
    this.#errors = new ReportedErrors(parts.components, parts.reasons.notDelivered)
    this.relay = new Relay(parts, this.#errors)
  }

  /** Returns the state of a flow, if it is a spliced one. */
  get(flow: FlowIndex): SplicedFlow | undefined {
    return this.#flows.get(flow)
  }

  /** Returns a side of a flow, if it is a spliced one. */
  sideOf(ref: SideRef): SplicedSide | undefined {
    return this.#flows.sideOf(ref)
  }

  /** Begins a flow for datagrams that arrived at a port. If that fails, they are counted as dropped. */
  begin(
    port: SharedPort,
    initiating: Demiflow,
    target: Demiflow,
    rule: RuleId,
    scope: number,
    count: number,
  ): SplicedFlow | undefined {
    const { clock, drops, flows, log } = this.#components
    const targetHost = socketsAt(this.#components, target.interface)
    if (targetHost === undefined) {
      drops.count(this.#reasons.openFailed, count)
      return undefined
    }
    const isOutside = initiating.interface === Interface.host
    const created = isOutside ? this.#scarcity.takePlaceOutside() : this.#scarcity.takePlace()
    if (created < 0) {
      drops.count(this.#reasons.tableFull, count - 1)
      return undefined
    }
    const initiated = flows.initiate(created, initiating)
    const opened = this.#open(targetHost, targetSide(initiated), target, isOutside)
    if (opened < 0) return this.#scarcity.giveUp(initiated, -opened, count)
    const index = flows.activate(flows.target(initiated, target, rule))
    const flow = this.#flows.begin(index, port.sockets, targetHost, clock.now)
    flow.isToWellKnownPort = isWellKnown(target.correspondentPort)
    flow.initiating.share(port, scope)
    flow.target.own(targetHost, opened)
    port.board(flow)
    flows.schedule(index, clock.now + this.#timeouts.of(flow))
    if (isOutside) this.#scarcity.begunOutside(flow, flow.target)
    else this.#scarcity.begun(flow, flow.target)
    if (log.isDebug) log.debug(`flow ${index} (udp) ${initiating} ⇄ ${target}`)
    return flow
  }

  /** Empties the error queue of a side's socket. */
  drainErrors(side: SplicedSide): void {
    this.#errors.drain(side)
  }

  /** As `ProtocolHandler.totalsOf`. */
  totalsOf({ initiating, ref, target }: SplicedFlow): FlowTotals {
    const isFromGuest = this.#components.flows.interfaceOf(ref) === Interface.splice
    const [guest, host] = isFromGuest ? [initiating, target] : [target, initiating]
    return {
      packetsFromGuest: guest.packets,
      packetsToGuest: host.packets,
      bytesFromGuest: guest.bytes,
      bytesToGuest: host.bytes,
    }
  }

  /** Ends a flow. */
  end(flow: SplicedFlow): void {
    const { flows, log } = this.#components
    const index = flow.flow
    const { port } = flow.initiating
    if (log.isDebug) log.debug(`flow ${index} (udp) ended`)
    this.#scarcity.ended(flow)
    flows.release(index)
    this.#flows.finish(flow)
    if (port !== undefined) this.#ports.leave(port, flow)
  }

  #open(sockets: Sockets, side: SideRef, target: Demiflow, isOutside: boolean): Socket {
    const socket = sockets.udpOpen(side, target)
    const isRelieved = isOutside ? this.#scarcity.isRelievedOutside(socket) : this.#scarcity.isRelieved(socket)
    return isRelieved ? sockets.udpOpen(side, target) : socket
  }
}
