/**
 * UDP over the local path: from a socket of the host to one inside the guest's namespace, or the other way.
 *
 * A datagram that arrives at a listening port and that the policy splices begins a flow with two connected sockets: one
 * beside the listening socket, towards its sender, which so gets its answers from where it wrote to; and one at the other
 * end, from any port, towards whoever listens there. From then on the kernel knows both by their correspondents, and
 * `relay.ts` carries datagrams between them. The flow is found by its initiating side, for what had come to the
 * listening socket before, and by its sockets.
 *
 * The guest's link has no part in this. Flows go on while it is congested, and listeners inside the namespace are heard.
 * Those of the host wait for it, since what arrives there may be for the link as well.
 *
 * Time-outs and limits are those of all flows: whoever can reach a listening port can forge as many senders as there are
 * ports, so flows that their target hasn't answered give way.
 *
 * Not done: reporting to a sender what its datagrams met at the other end. A socket can't.
 */
import {
  type Components,
  type Demiflow,
  type FlowIndex,
  type Host,
  hostAt,
  IpProtocol,
  initiatingSide,
  type SideRef,
  type Socket,
  targetSide,
} from "@demiflow/core"
import type { ListeningPort } from "../listening-ports.ts"
import type { UdpReasons } from "../reasons.ts"
import type { Scarcity } from "../scarcity.ts"
import type { WaitingPlace } from "../waiting-sources.ts"
import { Relay } from "./relay.ts"
import { ReportedErrors } from "./reported-errors.ts"
import { type SplicedFlow, SplicedFlows, type SplicedSide } from "./spliced-flow.ts"

/** Spliced flows: how they begin, go on and end. */
export class Splicing {
  readonly #components: Components
  readonly #reasons: UdpReasons
  readonly #scarcity: Scarcity
  readonly #waiting: WaitingPlace<SplicedSide>
  readonly #timeoutBeforeReply: number
  readonly #flows = new SplicedFlows()
  readonly #errors: ReportedErrors
  readonly relay: Relay

  constructor(
    components: Components,
    reasons: UdpReasons,
    scarcity: Scarcity,
    waiting: WaitingPlace<SplicedSide>,
    timeoutBeforeReply: number,
  ) {
    this.#components = components
    this.#reasons = reasons
    this.#scarcity = scarcity
    this.#waiting = waiting
    this.#timeoutBeforeReply = timeoutBeforeReply
    this.#errors = new ReportedErrors(components, reasons.notDelivered)
    this.relay = new Relay(components, reasons, this.#errors, scarcity, waiting)
  }

  /** The state of a flow, if it is a spliced one. */
  get(flow: FlowIndex): SplicedFlow | undefined {
    return this.#flows.get(flow)
  }

  /** A side of a flow, if it is a spliced one. */
  sideOf(ref: SideRef): SplicedSide | undefined {
    return this.#flows.sideOf(ref)
  }

  /** Begins a flow for a datagram that arrived at a port. If there can be none, it is counted as dropped. */
  begin(port: ListeningPort, initiating: Demiflow, target: Demiflow): SplicedFlow | undefined {
    const { clock, drops, flows, handlerNumber, log } = this.#components
    const targetHost = hostAt(this.#components, target.interface)
    if (targetHost === undefined) {
      drops.count(this.#reasons.openFailed)
      return undefined
    }
    const place = flows.allocate(handlerNumber, IpProtocol.udp)
    if (place < 0) return undefined
    this.#scarcity.makeRoom()
    const initiated = flows.initiate(place, initiating)
    const answering = this.#answer(port.host, initiatingSide(initiated), initiating)
    if (answering < 0) return this.#scarcity.giveUp(initiated, -answering, 1)
    const opened = this.#open(targetHost, targetSide(initiated), target)
    if (opened < 0) {
      port.host.close(answering)
      return this.#scarcity.giveUp(initiated, -opened, 1)
    }
    const index = flows.activate(flows.target(initiated, target))
    const flow = this.#flows.add(index, port.host, targetHost, clock.now)
    flow.initiating.begin(port.host, answering, port)
    flow.target.begin(targetHost, opened, undefined)
    flows.schedule(index, clock.now + this.#timeoutBeforeReply)
    this.#scarcity.begun(flow)
    // No event tells of what was there before it was connected.
    this.#waiting.wait(flow.initiating, clock.now)
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
    if (log.isDebug) log.debug(`flow ${index} (udp) ended`)
    this.#scarcity.settled(flow)
    this.#flows.remove(flow)
    flows.release(index)
  }

  #answer(host: Host, side: SideRef, initiating: Demiflow): Socket {
    const socket = host.udpAnswer(side, initiating)
    return this.#scarcity.isRelieved(socket) ? host.udpAnswer(side, initiating) : socket
  }

  #open(host: Host, side: SideRef, target: Demiflow): Socket {
    const socket = host.udpOpen(side, target)
    return this.#scarcity.isRelieved(socket) ? host.udpOpen(side, target) : socket
  }
}
