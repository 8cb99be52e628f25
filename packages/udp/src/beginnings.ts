import {
  type Components,
  Demiflow,
  Errno,
  type FlowIndex,
  FORWARD,
  type InitiatedFlow,
  IpProtocol,
  initiatingSide,
  NO_SOCKET,
  type SideRef,
  type Socket,
  targetSide,
  type WaitingList,
} from "@demiflow/core"
import type { ErrorRelay } from "./error-relay.ts"
import type { ListeningPort, ListeningPorts } from "./listening-ports.ts"
import type { UdpReasons } from "./reasons.ts"
import type { Source, UdpFlow, UdpFlows } from "./state.ts"
import { UnansweredFlows } from "./unanswered-flows.ts"

/** Milliseconds between two warnings that there are no more sockets. */
const WARNING_INTERVAL = 60_000
/** Flows from the host that may be without answer, or a quarter of the flow table if that is less. */
const MOST_UNANSWERED = 1024
/** Where other ports are looked for that a correspondent may have at the guest (RFC 6335, section 6), and how often. */
const FIRST_DYNAMIC_PORT = 49_152
const DYNAMIC_PORT_MASK = 0x3fff
const PORT_ATTEMPTS = 16

/** How flows begin, on either side, and end. */
export class Beginnings {
  readonly #components: Components
  readonly #reasons: UdpReasons
  readonly #states: UdpFlows
  readonly #ports: ListeningPorts
  readonly #errors: ErrorRelay
  readonly #waiting: WaitingList<Source>
  readonly #timeoutBeforeReply: number
  readonly #unanswered = new UnansweredFlows()
  readonly #mostUnanswered: number
  readonly #target = new Demiflow()
  #nextWarning = 0

  constructor(
    components: Components,
    reasons: UdpReasons,
    states: UdpFlows,
    ports: ListeningPorts,
    errors: ErrorRelay,
    waiting: WaitingList<Source>,
    timeoutBeforeReply: number,
  ) {
    this.#components = components
    this.#reasons = reasons
    this.#states = states
    this.#ports = ports
    this.#errors = errors
    this.#waiting = waiting
    this.#timeoutBeforeReply = timeoutBeforeReply
    this.#mostUnanswered = Math.max(1, Math.min(MOST_UNANSWERED, components.flows.capacity >> 2))
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
      return this.#giveUp(initiated, -socket, count)
    }
    const flow = flows.activate(flows.target(initiated, target))
    // What its correspondent sends to the listening socket belongs to it as well.
    if (isShared) flows.makeTargetFindable(flow)
    const state = this.#begin(initiatingSide(flow), socket, target.isV4, isShared ? sharedWith : undefined)
    this.#log(flow, tap)
    return state
  }

  /** Begins a flow for a datagram from the host. If there can be none, it is counted as dropped. */
  fromHost(port: ListeningPort, hostSide: Demiflow): UdpFlow | undefined {
    const { drops, flows, forwarding, guest, handlerNumber, host } = this.#components
    const target = this.#target
    const verdict = forwarding.targetAtGuest(port.listener, hostSide, guest, target)
    if (verdict !== FORWARD) {
      drops.count(verdict)
      return undefined
    }
    if (!this.#makeUnique(target)) {
      drops.count(this.#reasons.noPort)
      return undefined
    }
    const place = flows.allocate(handlerNumber, IpProtocol.udp)
    if (place < 0) return undefined
    if (this.#unanswered.count >= this.#mostUnanswered) this.#endOldestUnanswered()
    const initiated = flows.initiate(place, hostSide)
    const side = initiatingSide(initiated)
    let socket = host.udpAnswer(side, hostSide)
    if (isShortage(-socket) && this.#endOldestUnanswered()) socket = host.udpAnswer(side, hostSide)
    if (socket < 0) return this.#giveUp(initiated, -socket, 1)
    const flow = flows.activate(flows.target(initiated, target))
    flows.makeTargetFindable(flow)
    const state = this.#begin(targetSide(flow), socket, hostSide.isV4, port)
    this.#unanswered.add(state)
    this.#log(flow, hostSide)
    return state
  }

  /** Notes that the guest has sent something on a flow. */
  heardGuest(flow: UdpFlow): void {
    flow.lastActivity = this.#components.clock.now
    if (!flow.beganOnHost) return
    flow.hasReply = true
    this.#unanswered.remove(flow)
  }

  /** Ends a flow. */
  end(flow: UdpFlow): void {
    const { flows, host, log } = this.#components
    if (log.isDebug) log.debug(`flow ${flow.flow} (udp) ended`)
    host.close(flow.socket)
    this.#unanswered.remove(flow)
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
    if (isShortage(-socket) && this.#endOldestUnanswered()) socket = host.udpOpen(side, target)
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

  /** True if there was one. */
  #endOldestUnanswered(): boolean {
    const { oldest } = this.#unanswered
    if (oldest === undefined) return false
    this.end(oldest)
    return true
  }

  #giveUp(flow: InitiatedFlow, errno: number, count: number): undefined {
    this.#components.flows.cancel(flow)
    const isShort = isShortage(errno)
    this.#components.drops.count(isShort ? this.#reasons.noSocket : this.#reasons.openFailed, count)
    if (isShort) this.#warnOfShortage()
  }

  #warnOfShortage(): void {
    const { clock, log } = this.#components
    if (clock.now < this.#nextWarning) return
    this.#nextWarning = clock.now + WARNING_INTERVAL
    log.warning("udp: no sockets left for new flows: raise the limit of open files (ulimit -n)")
  }

  #log(flow: FlowIndex, initiating: Demiflow): void {
    const { log } = this.#components
    if (log.isDebug) log.debug(`flow ${flow} (udp) ${initiating} ⇄ ${this.#target}`)
  }
}

function isShortage(errno: number): boolean {
  return errno === Errno.EMFILE || errno === Errno.ENFILE || errno === Errno.ENOMEM || errno === Errno.ENOBUFS
}
