import {
  type Address,
  type Components,
  type Demiflow,
  Errno,
  type FlowIndex,
  type InitiatedFlow,
  IpProtocol,
  initiatingSide,
  isShortage,
  type RuleId,
  Ruling,
  type Sequence,
  type SideRef,
  type Socket,
  targetSide,
  UNSPECIFIED_V4,
  UNSPECIFIED_V6,
  Verdict,
  type VerdictId,
} from "@demiflow/core"
import { GuestPort, type SharedPort, SparePorts } from "@demiflow/protocol-kit"
import { Correspondents } from "./correspondents.ts"
import type { ErrorRelay } from "./error-relay.ts"
import { GroupSenders } from "./group-senders.ts"
import type { ListeningPort } from "./listening-port.ts"
import type { PortsInUse } from "./ports-in-use.ts"
import type { Progress } from "./progress.ts"
import type { UdpReasons } from "./reasons.ts"
import type { Scarcity } from "./scarcity.ts"
import { sourceTowards } from "./source-towards.ts"
import type { UdpFlow, UdpFlows } from "./state.ts"
import { isWellKnown, type Timeouts } from "./timeouts.ts"

/** The parts that {@link Beginnings} works with. */
export interface BeginningsParts {
  readonly components: Components
  readonly reasons: UdpReasons
  readonly states: UdpFlows
  readonly ports: PortsInUse
  readonly errors: ErrorRelay
  readonly progress: Progress
  readonly scarcity: Scarcity
  readonly timeouts: Timeouts
}

/** Begins flows between host and tap, on either side, and ends them. */
export class Beginnings {
  readonly #components: Components
  readonly #reasons: UdpReasons
  readonly #states: UdpFlows
  readonly #ports: PortsInUse
  readonly #errors: ErrorRelay
  readonly #progress: Progress
  readonly #scarcity: Scarcity
  readonly #timeouts: Timeouts
  /** Correspondents of the guest's ports. */
  readonly #correspondents: Correspondents<UdpFlow>
  readonly #isFree: (tap: Demiflow) => boolean
  readonly #sparePorts: SparePorts
  readonly #ruling = new Ruling()
  readonly groupSenders: GroupSenders

  constructor(parts: BeginningsParts) {
    this.#components = parts.components
    this.#reasons = parts.reasons
    this.#states = parts.states
    this.#ports = parts.ports
    this.#errors = parts.errors
    this.#progress = parts.progress
    this.#scarcity = parts.scarcity
    this.#timeouts = parts.timeouts
    const { flows, random } = parts.components
    this.#correspondents = new Correspondents(flows, random)
    this.#isFree = (tap) => flows.lookup(IpProtocol.udp, tap) < 0
    this.#sparePorts = new SparePorts(random, this.#isFree)
    this.groupSenders = new GroupSenders(parts.components.sockets, parts.components.flows)
  }

  /**
   * Begins a flow for the packets from `index` on, the first of which has its payload at `offset`. If that fails,
   * the packets are counted as dropped, and the error is reported to the guest where ICMP has a form for it.
   */
  fromGuest(sequence: Sequence, index: number, offset: number, length: number): UdpFlow | undefined {
    const { drops, flows, verdicts } = this.#components
    const { listening } = this.#ports
    const tap = sequence.demiflow
    const count = sequence.count - index
    const ruling = this.#ruling
    const { target } = ruling
    const verdict = verdicts.fromGuest(IpProtocol.udp, tap, ruling, sequence, index)
    if (verdict === Verdict.later) return undefined
    // An answer may go where the policy refuses everything else.
    const isAnswer = verdict === Verdict.refuse && listening.askedBy(tap, this.#states) !== undefined
    if (verdict !== Verdict.forward && !isAnswer) return this.#refuse(verdict, tap, offset, length, count)
    const created = this.#scarcity.takePlace()
    if (created < 0) {
      drops.count(this.#reasons.tableFull, count - 1)
      return undefined
    }
    // Find the question again: its flow may have given way for the place.
    const question = listening.askedBy(tap, this.#states)
    if (question !== undefined) flows.readSide(question.hostSide, target)
    else if (verdict !== Verdict.forward) {
      flows.cancel(created)
      return this.#refuse(verdict, tap, offset, length, count)
    }
    const initiated = flows.initiate(created, tap)
    const port = question?.port ?? this.#portFor(initiated, tap, target)
    if (typeof port === "number") {
      if (!isShortage(-port)) this.#errors.refuse(tap, -port, offset, length)
      return this.#scarcity.giveUp(initiated, -port, count)
    }
    const rule = question === undefined ? ruling.rule : flows.ruleOf(question.flow)
    const flow = flows.activate(flows.target(initiated, target, rule))
    // Datagrams from the correspondent belong to the flow that the correspondent began, if there is one.
    if (flows.lookup(IpProtocol.udp, target) < 0) flows.makeTargetFindable(flow)
    const state = this.#begin(initiatingSide(flow), port, target, question?.scope ?? 0)
    this.#scarcity.begun(state, port)
    if (question !== undefined) {
      this.#progress.targetHeard(state, state.port)
      this.#progress.targetHeard(question, question.port)
    }
    if (target.correspondentAddress.isMulticast) this.groupSenders.add(state, port)
    this.#log(flow, tap, target)
    return state
  }

  /**
   * Begins a flow for `count` datagrams from the host, with `target` as its side at the guest. If that fails, the
   * datagrams are counted as dropped.
   */
  fromHost(
    port: SharedPort,
    hostSide: Demiflow,
    target: Demiflow,
    rule: RuleId,
    scope: number,
    count: number,
  ): UdpFlow | undefined {
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
    const flow = flows.activate(flows.target(flows.initiate(created, hostSide), target, rule))
    flows.makeTargetFindable(flow)
    const state = this.#begin(targetSide(flow), port, hostSide, scope)
    this.#scarcity.begunOutside(state)
    this.#log(flow, hostSide, target)
    return state
  }

  /** Returns the newest flow at a guest's port with a correspondent at this address. */
  correspondentAt(port: SharedPort, address: Address): UdpFlow | undefined {
    return this.#correspondents.find(port, address)
  }

  /** Records that the guest has sent something on a flow. */
  heardGuest(flow: UdpFlow): void {
    const { now } = this.#components.clock
    flow.lastActivity = now
    if (flow.port instanceof GuestPort) flow.port.lastActivity = now
    this.groupSenders.heard(flow)
    if (flow.beganOnHost) this.#progress.targetHeard(flow, flow.port)
    else this.#progress.initiatorHeard(flow)
  }

  /** Moves a flow of a guest's port, with this side on the host, to a listening port that has the number now. */
  move(flow: UdpFlow, port: ListeningPort, hostSide: Demiflow): void {
    if (flow.port instanceof GuestPort) this.#correspondents.remove(flow)
    if (flow.port !== undefined) this.#ports.leave(flow.port, flow)
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
    flows.release(flow.flow)
    this.#states.finish(flow)
  }

  /**
   * Returns the port of the host by which a flow of the guest leaves, and makes `target` the flow's side there. Returns
   * a negated error number if there is no port.
   */
  #portFor(flow: InitiatedFlow, tap: Demiflow, target: Demiflow): SharedPort | Socket {
    this.#ports.guest.leaveLoopbackOpen(target)
    const wanted = target.forwardingPort
    const side = targetSide(flow)
    const port = this.#sharedPort(tap, target) ?? this.#openPort(side, tap, target)
    // The guest takes precedence over senders on the host that it doesn't answer.
    if (typeof port !== "number" || !this.#scarcity.isRelieved(port)) return port
    target.forwardingPort = wanted
    return this.#openPort(side, tap, target)
  }

  #sharedPort(tap: Demiflow, target: Demiflow): SharedPort | undefined {
    return this.#ports.listening.leadingTo(tap, target) ?? this.#ports.guest.find(tap, target)
  }

  /**
   * Opens a port for a flow that can share none: at all addresses of the host; if the number is taken at some of them,
   * at the address that the host sends from; or else any port.
   */
  #openPort(side: SideRef, tap: Demiflow, target: Demiflow): SharedPort | Socket {
    const { guest } = this.#ports
    let opened: SharedPort | Socket = guest.add(side, tap, target)
    if (opened === -Errno.EADDRINUSE) opened = this.#narrowPort(side, tap, target) ?? opened
    if (opened !== -Errno.EADDRINUSE && opened !== -Errno.EACCES) return opened
    target.forwardingPort = 0
    return guest.add(side, tap, target)
  }

  /** Opens or shares a port with the wanted number at the address that the host sends from. */
  #narrowPort(side: SideRef, tap: Demiflow, target: Demiflow): SharedPort | undefined {
    const { guest, listening } = this.#ports
    const { forwardingAddress, forwardingPort, isV4 } = target
    if (!forwardingAddress.isUnspecified) return undefined
    if (listening.holdWhole(forwardingPort, isV4) || guest.holdWhole(forwardingPort, isV4)) return undefined
    const source = sourceTowards(this.#components.sockets, target)
    if (source === undefined) return undefined
    forwardingAddress.copyFrom(source)
    const port = this.#sharedPort(tap, target) ?? guest.add(side, tap, target)
    if (typeof port !== "number") return port
    setUnspecified(forwardingAddress)
    return undefined
  }

  /**
   * Gives the correspondent another port towards the guest if the guest knows another correspondent under this address
   * and port: one that came to another port or address of the host, or that the same address stands for. Returns false
   * if no port is found.
   */
  #makeUnique(tap: Demiflow): boolean {
    return this.#isFree(tap) || this.#sparePorts.choose(tap)
  }

  /** Counts packets that the policy has no target for, and reports those that it refuses. */
  #refuse(verdict: VerdictId, tap: Demiflow, offset: number, length: number, count: number): undefined {
    this.#components.drops.count(this.#ruling.reason, count)
    if (verdict === Verdict.refuse) this.#errors.refuse(tap, Errno.EPERM, offset, length)
  }

  #begin(tapSide: SideRef, port: SharedPort, hostSide: Demiflow, scope: number): UdpFlow {
    const { clock, flows } = this.#components
    const state = this.#states.begin(tapSide, hostSide.isV4, clock.now)
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
