import {
  type Components,
  Demiflow,
  Errno,
  type FlowIndex,
  FORWARD,
  type InitiatedFlow,
  IpProtocol,
  initiatingSide,
  isShortage,
  NO_SOCKET,
  type SideRef,
  type Socket,
  targetSide,
} from "@demiflow/core"
import type { ErrorRelay } from "./error-relay.ts"
import { GroupSenders } from "./group-senders.ts"
import type { ListeningPort, ListeningPorts } from "./listening-ports.ts"
import type { UdpReasons } from "./reasons.ts"
import type { Scarcity } from "./scarcity.ts"
import type { UdpFlow, UdpFlows } from "./state.ts"
import type { WaitingPlace } from "./waiting-sources.ts"

/** Where other ports are looked for that a correspondent may have at the guest (RFC 6335, section 6), and how often. */
const FIRST_DYNAMIC_PORT = 49_152
const DYNAMIC_PORT_MASK = 0x3fff
const PORT_ATTEMPTS = 16

/** How flows between host and tap begin, on either side, and end. */
export class Beginnings {
  readonly #components: Components
  readonly #reasons: UdpReasons
  readonly #states: UdpFlows
  readonly #ports: ListeningPorts
  readonly #errors: ErrorRelay
  readonly #scarcity: Scarcity
  readonly #waiting: WaitingPlace<UdpFlow>
  readonly #timeoutBeforeReply: number
  readonly #target = new Demiflow()
  /** Where the guest's flows to groups come from. */
  readonly groupSenders: GroupSenders

  constructor(
    components: Components,
    reasons: UdpReasons,
    states: UdpFlows,
    ports: ListeningPorts,
    errors: ErrorRelay,
    scarcity: Scarcity,
    waiting: WaitingPlace<UdpFlow>,
    timeoutBeforeReply: number,
  ) {
    this.#components = components
    this.groupSenders = new GroupSenders(components.host)
    this.#reasons = reasons
    this.#states = states
    this.#ports = ports
    this.#errors = errors
    this.#scarcity = scarcity
    this.#waiting = waiting
    this.#timeoutBeforeReply = timeoutBeforeReply
  }

  /**
   * Begins a flow for `count` packets that the guest sent, the first of which has its payload at `offset`. If there can
   * be none, they are counted as dropped, and the guest is told where ICMP has words for it.
   */
  fromGuest(tap: Demiflow, offset: number, length: number, count: number): UdpFlow | undefined {
    const { drops, flows, forwarding, handlerNumber } = this.#components
    const target = this.#target
    const verdict = forwarding.target(IpProtocol.udp, tap, target)
    if (verdict !== FORWARD) {
      drops.count(verdict, count)
      return undefined
    }
    const place = flows.allocate(handlerNumber, IpProtocol.udp)
    if (place < 0) {
      drops.count(this.#reasons.tableFull, count - 1)
      return undefined
    }
    const initiated = flows.initiate(place, tap)
    const sharedWith = this.#ports.leadingTo(tap, target)
    let socket = sharedWith === undefined ? NO_SOCKET : this.#share(initiated, target)
    const isShared = socket >= 0
    if (!isShared) socket = this.#open(initiated, target)
    if (socket < 0) {
      if (!isShortage(-socket)) this.#errors.refuse(tap, -socket, offset, length)
      return this.#scarcity.giveUp(initiated, -socket, count)
    }
    const flow = flows.activate(flows.target(initiated, target))
    // What its correspondent sends to the listening socket belongs to it as well.
    if (isShared) flows.makeTargetFindable(flow)
    const state = this.#begin(initiatingSide(flow), socket, target.isV4, isShared ? sharedWith : undefined)
    if (target.correspondentAddress.isMulticast) this.groupSenders.add(state, target)
    this.#log(flow, tap, target)
    return state
  }

  /**
   * Begins a flow for a datagram from the host, with the target side at the guest that the policy says. If there can be none,
   * it is counted as dropped.
   */
  fromHost(port: ListeningPort, hostSide: Demiflow, target: Demiflow): UdpFlow | undefined {
    const { drops, flows, handlerNumber, host } = this.#components
    if (!this.#makeUnique(target)) {
      drops.count(this.#reasons.noPort)
      return undefined
    }
    const place = flows.allocate(handlerNumber, IpProtocol.udp)
    if (place < 0) return undefined
    this.#scarcity.makeRoom()
    const initiated = flows.initiate(place, hostSide)
    const side = initiatingSide(initiated)
    let socket = host.udpAnswer(side, hostSide)
    if (this.#scarcity.isRelieved(socket)) socket = host.udpAnswer(side, hostSide)
    if (socket < 0) return this.#scarcity.giveUp(initiated, -socket, 1)
    const flow = flows.activate(flows.target(initiated, target))
    flows.makeTargetFindable(flow)
    const state = this.#begin(targetSide(flow), socket, hostSide.isV4, port)
    this.#scarcity.begun(state)
    this.#log(flow, hostSide, target)
    return state
  }

  /** Notes that the guest has sent something on a flow. */
  heardGuest(flow: UdpFlow): void {
    flow.lastActivity = this.#components.clock.now
    if (!flow.beganOnHost) return
    flow.hasReply = true
    this.#scarcity.settled(flow)
  }

  /** Ends a flow. */
  end(flow: UdpFlow): void {
    const { flows, host, log } = this.#components
    if (log.isDebug) log.debug(`flow ${flow.flow} (udp) ended`)
    this.groupSenders.remove(flow)
    host.close(flow.socket)
    this.#scarcity.settled(flow)
    this.#states.remove(flow)
    flows.release(flow.flow)
  }

  /** A socket for a flow of the guest's, at the port asked for or, if that can't be had, any. */
  #open(flow: InitiatedFlow, target: Demiflow): Socket {
    const { host } = this.#components
    const side = targetSide(flow)
    let socket = host.udpOpen(side, target)
    if (target.forwardingPort !== 0 && (socket === -Errno.EADDRINUSE || socket === -Errno.EACCES)) {
      target.forwardingPort = 0
      socket = host.udpOpen(side, target)
    }
    // The guest goes before senders on the host whom it doesn't answer.
    if (this.#scarcity.isRelieved(socket)) socket = host.udpOpen(side, target)
    return socket
  }

  /** A socket for a flow of the guest's, at the port that a listening socket has; its forwarding end is filled in. */
  #share(flow: InitiatedFlow, target: Demiflow): Socket {
    const { flows, host } = this.#components
    const socket = host.udpAnswer(targetSide(flow), target)
    if (socket < 0) return socket
    const wanted = target.clone()
    // The correspondent may have begun a flow from there, which the guest knows by another port.
    if (host.boundEnd(socket, target) === 0 && flows.lookup(IpProtocol.udp, target) < 0) return socket
    host.close(socket)
    target.copyFrom(wanted)
    return NO_SOCKET
  }

  /**
   * Has the guest see the correspondent under another port, if it knows another one under this address and port: one
   * that came to another port or address of the host, or that the same address stands for. False if there is none.
   */
  #makeUnique(tap: Demiflow): boolean {
    const { flows, random } = this.#components
    for (let attempt = 0; flows.lookup(IpProtocol.udp, tap) >= 0; attempt++) {
      if (attempt === PORT_ATTEMPTS) return false
      tap.forwardingPort = FIRST_DYNAMIC_PORT + (random.int32() & DYNAMIC_PORT_MASK)
    }
    return true
  }

  #begin(tapSide: SideRef, socket: Socket, isHostV4: boolean, sharedWith: ListeningPort | undefined): UdpFlow {
    const { clock, flows } = this.#components
    const state = this.#states.add(tapSide, socket, isHostV4, clock.now)
    flows.schedule(state.flow, clock.now + this.#timeoutBeforeReply)
    if (sharedWith !== undefined) {
      state.sharedWith = sharedWith
      this.#waiting.wait(state, clock.now)
    }
    return state
  }

  #log(flow: FlowIndex, initiating: Demiflow, target: Demiflow): void {
    const { log } = this.#components
    if (log.isDebug) log.debug(`flow ${flow} (udp) ${initiating} ⇄ ${target}`)
  }
}
