import {
  type Address,
  type Components,
  Demiflow,
  type DropReason,
  Errno,
  type FlowIndex,
  FORWARD,
  GuestPort,
  type InitiatedFlow,
  IpProtocol,
  initiatingSide,
  isShortage,
  type SharedPort,
  type SideRef,
  type Socket,
  targetSide,
  UNSPECIFIED_V4,
  UNSPECIFIED_V6,
} from "@demiflow/core"
import { Correspondents } from "./correspondents.ts"
import type { ErrorRelay } from "./error-relay.ts"
import { GroupSenders } from "./group-senders.ts"
import type { ListeningPort } from "./listening-port.ts"
import type { PortsInUse } from "./ports-in-use.ts"
import type { UdpReasons } from "./reasons.ts"
import type { Scarcity } from "./scarcity.ts"
import { sourceTowards } from "./source-towards.ts"
import type { UdpFlow, UdpFlows } from "./state.ts"
import { isWellKnown, type Timeouts } from "./timeouts.ts"

/** Other ports that a correspondent may have at the guest (RFC 6335, section 6), and how many of them are tried. */
const FIRST_DYNAMIC_PORT = 49_152
const DYNAMIC_PORT_MASK = 0x3fff
const PORT_ATTEMPTS = 16

/** What {@link Beginnings} works with. */
export interface BeginningsParts {
  readonly components: Components
  readonly reasons: UdpReasons
  readonly states: UdpFlows
  readonly ports: PortsInUse
  readonly errors: ErrorRelay
  readonly scarcity: Scarcity
  readonly timeouts: Timeouts
}

/** How flows between host and tap begin, on either side, and end. */
export class Beginnings {
  readonly #components: Components
  readonly #reasons: UdpReasons
  readonly #states: UdpFlows
  readonly #ports: PortsInUse
  readonly #errors: ErrorRelay
  readonly #scarcity: Scarcity
  readonly #timeouts: Timeouts
  /** Of the guest's ports. */
  readonly #correspondents: Correspondents<UdpFlow>
  readonly #target = new Demiflow()
  readonly groupSenders: GroupSenders

  constructor(parts: BeginningsParts) {
    this.#components = parts.components
    this.#reasons = parts.reasons
    this.#states = parts.states
    this.#ports = parts.ports
    this.#errors = parts.errors
    this.#scarcity = parts.scarcity
    this.#timeouts = parts.timeouts
    this.#correspondents = new Correspondents(parts.components.flows, parts.components.random)
    this.groupSenders = new GroupSenders(parts.components.host, parts.components.flows)
  }

  /**
   * Begins a flow for `count` packets that the guest sent, the first of which has its payload at `offset`. If there can
   * be none, they are counted as dropped, and the guest hears of it where ICMP has words for that.
   */
  fromGuest(tap: Demiflow, offset: number, length: number, count: number): UdpFlow | undefined {
    const { drops, flows, forwarding } = this.#components
    const { listening } = this.#ports
    const target = this.#target
    const verdict = forwarding.target(IpProtocol.udp, tap, target)
    // An answer goes to where nothing else may.
    const isAnswer = verdict === forwarding.prohibited && listening.askedBy(tap, this.#states) !== undefined
    if (verdict !== FORWARD && !isAnswer) return this.#refuse(verdict, tap, offset, length, count)
    const created = this.#scarcity.takePlace()
    if (created < 0) {
      drops.count(this.#reasons.tableFull, count - 1)
      return undefined
    }
    // Now, as the question may have given way.
    const question = listening.askedBy(tap, this.#states)
    if (question !== undefined) flows.readSide(question.hostSide, target)
    else if (verdict !== FORWARD) {
      flows.cancel(created)
      return this.#refuse(verdict, tap, offset, length, count)
    }
    const initiated = flows.initiate(created, tap)
    const port = question?.port ?? this.#portFor(initiated, tap, target)
    if (typeof port === "number") {
      if (!isShortage(-port)) this.#errors.refuse(tap, -port, offset, length)
      return this.#scarcity.giveUp(initiated, -port, count)
    }
    const flow = flows.activate(flows.target(initiated, target))
    // What the correspondent sends belongs to the flow that it has begun, if there is one.
    if (flows.lookup(IpProtocol.udp, target) < 0) flows.makeTargetFindable(flow)
    const state = this.#begin(initiatingSide(flow), port, target, question?.scope ?? 0)
    this.#scarcity.begun(state, port)
    if (question !== undefined) {
      this.answered(state)
      this.answered(question)
    }
    if (target.correspondentAddress.isMulticast) this.groupSenders.add(state, port)
    this.#log(flow, tap, target)
    return state
  }

  /**
   * Begins a flow for `count` datagrams from the host, with the target side at the guest that `target` says. If there can be
   * none, they are counted as dropped.
   */
  fromHost(port: SharedPort, hostSide: Demiflow, target: Demiflow, scope: number, count: number): UdpFlow | undefined {
    const { drops, flows } = this.#components
    if (!this.#makeUnique(target)) {
      drops.count(this.#reasons.noPort, count)
      return undefined
    }
    const created = this.#scarcity.takePlaceOutside()
    if (created < 0) {
      drops.count(this.#reasons.tableFull, count - 1)
      return undefined
    }
    if (port.socket < 0) {
      // The flow that gave way was the last one of the port.
      flows.cancel(created)
      drops.count(this.#reasons.closed, count)
      return undefined
    }
    const flow = flows.activate(flows.target(flows.initiate(created, hostSide), target))
    flows.makeTargetFindable(flow)
    const state = this.#begin(targetSide(flow), port, hostSide, scope)
    this.#scarcity.begunOutside(state)
    this.#log(flow, hostSide, target)
    return state
  }

  /** The newest flow at a port of the guest's with a correspondent at this address. */
  correspondentAt(port: SharedPort, address: Address): UdpFlow | undefined {
    return this.#correspondents.find(port, address)
  }

  /** Notes that the guest has sent something on a flow. */
  heardGuest(flow: UdpFlow): void {
    const { now } = this.#components.clock
    flow.lastActivity = now
    if (flow.port instanceof GuestPort) flow.port.lastActivity = now
    this.groupSenders.heard(flow)
    if (flow.beganOnHost) this.answered(flow)
    else if (flow.hasReply) flow.isConversation = true
  }

  /** Has a flow of a port of the guest's, with this side of the host, go on at a listening port that has the number now. */
  move(index: FlowIndex, port: ListeningPort, hostSide: Demiflow): void {
    const flow = this.#states.get(index)
    if (flow?.port === undefined) return
    if (flow.port instanceof GuestPort) this.#correspondents.remove(flow)
    this.#ports.leave(flow.port, flow)
    flow.port = port
    port.board(flow)
    if (!hostSide.forwardingAddress.isUnspecified) port.noteOwn(hostSide.forwardingAddress)
  }

  /** Ends a flow. */
  end(flow: UdpFlow): void {
    const { flows, log } = this.#components
    if (log.isDebug) log.debug(`flow ${flow.flow} (udp) ended`)
    this.groupSenders.remove(flow)
    const { port } = flow
    this.#scarcity.ended(flow)
    if (port !== undefined) {
      if (port instanceof GuestPort) this.#correspondents.remove(flow)
      flow.port = undefined
      this.#ports.leave(port, flow)
    }
    this.#states.remove(flow)
    flows.release(flow.flow)
  }

  /** Notes that something has come back to where the flow began. */
  answered(flow: UdpFlow): void {
    if (flow.hasReply) return
    flow.hasReply = true
    this.#scarcity.answered(flow, flow.port)
  }

  /**
   * The port of the host by which a flow of the guest's leaves, and `target` as the side that it has there; a negated error
   * number if there is none.
   */
  #portFor(flow: InitiatedFlow, tap: Demiflow, target: Demiflow): SharedPort | Socket {
    this.#ports.guest.leaveLoopbackOpen(target)
    const wanted = target.forwardingPort
    const side = targetSide(flow)
    const port = this.#sharedPort(tap, target) ?? this.#openPort(side, tap, target)
    // The guest goes before senders on the host whom it doesn't answer.
    if (typeof port !== "number" || !this.#scarcity.isRelieved(port)) return port
    target.forwardingPort = wanted
    return this.#openPort(side, tap, target)
  }

  #sharedPort(tap: Demiflow, target: Demiflow): SharedPort | undefined {
    return this.#ports.listening.leadingTo(tap, target) ?? this.#ports.guest.find(tap, target)
  }

  /**
   * A port for a flow that finds none to share: at all addresses of the host; if a part of these has the number otherwise, at
   * the one that the host sends from; or else any port.
   */
  #openPort(side: SideRef, tap: Demiflow, target: Demiflow): SharedPort | Socket {
    const { guest } = this.#ports
    let opened: SharedPort | Socket = guest.add(side, tap, target)
    if (opened === -Errno.EADDRINUSE) opened = this.#narrowPort(side, tap, target) ?? opened
    if (opened !== -Errno.EADDRINUSE && opened !== -Errno.EACCES) return opened
    target.forwardingPort = 0
    return guest.add(side, tap, target)
  }

  /** A port with the wanted number at the address that the host sends from, opened or shared. */
  #narrowPort(side: SideRef, tap: Demiflow, target: Demiflow): SharedPort | undefined {
    const { guest, listening } = this.#ports
    const { forwardingAddress, forwardingPort, isV4 } = target
    if (!forwardingAddress.isUnspecified) return undefined
    if (listening.holdWhole(forwardingPort, isV4) || guest.holdWhole(forwardingPort, isV4)) return undefined
    const source = sourceTowards(this.#components.host, target)
    if (source === undefined) return undefined
    forwardingAddress.copyFrom(source)
    const port = this.#sharedPort(tap, target) ?? guest.add(side, tap, target)
    if (typeof port !== "number") return port
    setUnspecified(forwardingAddress)
    return undefined
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

  /** Counts what the policy has no way for, and reports what it prohibits. */
  #refuse(verdict: DropReason, tap: Demiflow, offset: number, length: number, count: number): undefined {
    const { drops, forwarding } = this.#components
    drops.count(verdict, count)
    if (verdict === forwarding.prohibited) this.#errors.refuse(tap, Errno.EPERM, offset, length)
  }

  #begin(tapSide: SideRef, port: SharedPort, hostSide: Demiflow, scope: number): UdpFlow {
    const { clock, flows } = this.#components
    const state = this.#states.add(tapSide, hostSide.isV4, clock.now)
    state.port = port
    state.scope = scope
    state.isToWellKnownPort = isWellKnown(hostSide.correspondentPort)
    port.board(state)
    if (port instanceof GuestPort) {
      port.lastActivity = clock.now
      this.#correspondents.add(state, port, hostSide.correspondentAddress)
    }
    flows.schedule(state.flow, clock.now + this.#timeouts.of(state))
    return state
  }

  #log(flow: FlowIndex, initiating: Demiflow, target: Demiflow): void {
    const { log } = this.#components
    if (log.isDebug) log.debug(`flow ${flow} (udp) ${initiating} ⇄ ${target}`)
  }
}

function setUnspecified(address: Address): void {
  address.copyFrom(address.isV4 ? UNSPECIFIED_V4 : UNSPECIFIED_V6)
}
