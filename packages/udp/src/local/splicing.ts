/**
 * UDP over the local path: from a socket of the host to one inside the guest's namespace, or the other way.
 *
 * A datagram that arrives at a listening port and that the policy splices begins a flow. On its initiating side it shares the
 * listening socket, by which its sender so gets answers from where it wrote to; at the other end it has a socket of its own,
 * from any port, connected to the socket that listens there. `relay.ts` carries datagrams between them. The flow is found by its
 * initiating side, for what the listening socket receives, and by its socket.
 *
 * The guest's link has no part in this. Flows go on while it is congested, and listeners inside the namespace are heard.
 * Those of the host wait for it, since what arrives there may be for the link as well.
 *
 * Time-outs and limits are those of all flows: anybody who reaches a listening port can forge as many senders as there are
 * ports, so flows that their target hasn't answered give way. Those from inside the namespace are the guest's own.
 *
 * Not done: reporting to a sender what its datagrams met at the other end. A socket can't.
 */
import {
  type Components,
  type Demiflow,
  type FlowIndex,
  type Host,
  hostAt,
  Interface,
  type SharedPort,
  type SideRef,
  type Socket,
  targetSide,
} from "@demiflow/core"
import type { ErrorRelay } from "../error-relay.ts"
import type { PortsInUse } from "../ports-in-use.ts"
import type { UdpReasons } from "../reasons.ts"
import type { Scarcity } from "../scarcity.ts"
import { isWellKnown, type Timeouts } from "../timeouts.ts"
import type { WaitingPlace } from "../waiting-sources.ts"
import { Relay } from "./relay.ts"
import { ReportedErrors } from "./reported-errors.ts"
import { type SplicedFlow, SplicedFlows, type SplicedSide } from "./spliced-flow.ts"

/** What {@link Splicing} works with. */
export interface SplicingParts {
  readonly components: Components
  readonly reasons: UdpReasons
  readonly errors: ErrorRelay
  readonly scarcity: Scarcity
  readonly ports: PortsInUse
  readonly timeouts: Timeouts
  readonly waiting: WaitingPlace<SplicedSide>
}

/** Spliced flows: how they begin, go on and end. */
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

  /** The state of a flow, if it is a spliced one. */
  get(flow: FlowIndex): SplicedFlow | undefined {
    return this.#flows.get(flow)
  }

  /** A side of a flow, if it is a spliced one. */
  sideOf(ref: SideRef): SplicedSide | undefined {
    return this.#flows.sideOf(ref)
  }

  /** Begins a flow for datagrams that arrived at a port. If there can be none, they are counted as dropped. */
  begin(
    port: SharedPort,
    initiating: Demiflow,
    target: Demiflow,
    scope: number,
    count: number,
  ): SplicedFlow | undefined {
    const { clock, drops, flows, log } = this.#components
    const targetHost = hostAt(this.#components, target.interface)
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
    const index = flows.activate(flows.target(initiated, target))
    const flow = this.#flows.add(index, port.host, targetHost, clock.now)
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

  /** Ends a flow. */
  end(flow: SplicedFlow): void {
    const { flows, log } = this.#components
    const index = flow.flow
    const { port } = flow.initiating
    if (log.isDebug) log.debug(`flow ${index} (udp) ended`)
    this.#scarcity.ended(flow)
    this.#flows.remove(flow)
    if (port !== undefined) this.#ports.leave(port, flow)
    flows.release(index)
  }

  #open(host: Host, side: SideRef, target: Demiflow, isOutside: boolean): Socket {
    const socket = host.udpOpen(side, target)
    const isRelieved = isOutside ? this.#scarcity.isRelievedOutside(socket) : this.#scarcity.isRelieved(socket)
    return isRelieved ? host.udpOpen(side, target) : socket
  }
}
