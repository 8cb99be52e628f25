/**
 * Connections that a correspondent of the host begins: from an accepted socket to a SYN to the guest. (Connections that
 * are local at both ends take another path: local/splicing.ts.)
 *
 * By then, the host's kernel has finished its handshake with the correspondent. The correspondent's data waits in the
 * socket until the guest is connected as well. If the guest refuses, or doesn't answer, the correspondent gets a reset.
 *
 * Two correspondents may be the same to the guest, which knows several addresses of the host under one. Then only
 * their ports differ, so the second one is given another port if its own is taken and its address is a translated one
 * anyway.
 */
import {
  type Demiflow,
  type DropReason,
  flowOf,
  Interface,
  IpProtocol,
  initiatingSide,
  isShortage,
  type Listener,
  NO_SOCKET,
  PlaceShare,
  type RuleId,
  Ruling,
  type Socket,
  socketsAt,
  targetSide,
  Verdict,
} from "@demiflow/core"
import { SparePorts, takePlace } from "@demiflow/protocol-kit"
import { DEFAULT_MSS_V4, DEFAULT_MSS_V6 } from "../connection/handshake.ts"
import { Event, State, sendsToGuest } from "../connection/state.ts"
import type { Splicing } from "../local/splicing.ts"
import type { TcpContext } from "./context.ts"
import { HalfOpen, mostHalfOpen } from "./half-open.ts"
import type { InitialSequence } from "./initial-sequence.ts"
import type { TcpConnection } from "./tcp-connection.ts"

/** The part of the traffic class without ECN, which concerns only the two kernels that speak to each other. */
const DSCP = 0xfc

export class Accepted {
  readonly #context: TcpContext
  readonly #initialSequence: InitialSequence
  readonly #ruling = new Ruling()
  readonly #splicing: Splicing | undefined
  readonly #portInUse: DropReason
  /** Connections that the guest hasn't answered. */
  readonly #unanswered: HalfOpen
  readonly #sparePorts: SparePorts

  constructor(context: TcpContext, initialSequence: InitialSequence, splicing: Splicing | undefined) {
    const { drops, random } = context.components
    this.#context = context
    this.#initialSequence = initialSequence
    this.#splicing = splicing
    this.#portInUse = drops.reason("tcp: ends that another connection has")
    this.#unanswered = new HalfOpen(mostHalfOpen(context.components), (connection) => context.abort(connection, true))
    this.#sparePorts = new SparePorts(random, (tapSide) => this.#isFree(tapSide))
  }

  /** True while the listener has as many connections without an answer of the guest as it may. */
  isFull(listener: Listener): boolean {
    return listener.interface === Interface.host && this.#unanswered.isFull(this.#crowdOf(listener))
  }

  /** True if enough connections have given way in this turn. */
  get hasGivenWay(): boolean {
    return this.#unanswered.hasGivenWay
  }

  /**
   * Ends the connection that has waited longest for the guest's answer: one of the listener's if that has too many.
   * Returns false if none has waited long enough.
   */
  giveWay(listener: Listener): boolean {
    return this.#unanswered.giveWay(this.#context.now, this.isFull(listener) ? this.#crowdOf(listener) : undefined)
  }

  /** See `ProtocolHandler.endTurn`. */
  endTurn(): void {
    this.#unanswered.endTurn()
  }

  /**
   * Begins a connection that was accepted at a listener's port. Returns 0, or a negated error number if the host has no
   * socket for the other end: the connection was reset then. While the policy hasn't decided, the socket waits. It
   * can't hide that it was accepted, so a connection that the policy drops is reset like one that it refuses.
   */
  open(listener: Listener, socket: Socket, initiating: Demiflow): number {
    const { components } = this.#context
    const { verdicts, drops } = components
    const ruling = this.#ruling
    const verdict = verdicts.towardsGuest(listener, initiating, ruling, () => {
      const side = initiating.clone()
      return () => this.open(listener, socket, side)
    })
    if (verdict === Verdict.later) return 0
    const { rule, target } = ruling
    if (verdict !== Verdict.forward) drops.count(ruling.reason)
    else if (target.interface === Interface.tap) {
      this.#openToGuest(socket, initiating, target, rule, this.#crowdOf(listener))
      return 0
    } else if (this.#splicing !== undefined) {
      const result = this.#splicing.open(socket, initiating, target, rule)
      return isShortage(-result) ? result : 0
    }
    socketsAt(components, initiating.interface)?.reset(socket)
    return 0
  }

  #openToGuest(socket: Socket, hostSide: Demiflow, tapSide: Demiflow, rule: RuleId, crowd: number): void {
    const { flows, sockets, drops } = this.#context.components
    // A correspondent that the guest knows by its own address has its own port as well.
    const isTranslated = !tapSide.forwardingAddress.equals(hostSide.correspondentAddress)
    const hasEnds =
      this.#endPredecessor(hostSide) && (this.#isFree(tapSide) || (isTranslated && this.#sparePorts.choose(tapSide)))
    if (!hasEnds) {
      drops.count(this.#portInUse)
      sockets.reset(socket)
      return
    }
    const created = takePlace(this.#context.components, IpProtocol.tcp, PlaceShare.fromOutside)
    if (created < 0) {
      sockets.reset(socket)
      return
    }
    const flow = flows.activate(flows.target(flows.initiate(created, hostSide), tapSide, rule))
    flows.makeTargetFindable(flow)
    const connection = this.#context.open(flow)
    flows.readSide(targetSide(flow), connection.tapSide)
    this.#begin(connection, socket, crowd)
    if (sockets.watch(socket, initiatingSide(flow)) < 0) this.#context.abort(connection, true)
  }

  #begin(connection: TcpConnection, socket: Socket, crowd: number): void {
    const { tapSide } = connection
    connection.socket = socket
    connection.state = State.synSent
    connection.lastFromGuest = this.#context.now
    this.#unanswered.add(connection, crowd, this.#context.now)
    connection.trafficClassToGuest = this.#context.components.sockets.acceptedTrafficClass(socket) & DSCP
    // The guest's numbers are unknown until it answers.
    connection.receiver.beginUnknown()
    connection.sender.mssToGuest = tapSide.isV4 ? DEFAULT_MSS_V4 : DEFAULT_MSS_V6
    connection.sender.begin(this.#initialSequence.next(tapSide))
    this.#context.chooseAcknowledgement(connection)
    this.#context.sendSyn(connection)
    this.#context.startRetransmitTimer(connection)
  }

  /**
   * Ends an earlier connection with the same ends. The kernel connects no two sockets between the same ends, so to the
   * host it is over. Returns false if it ended in order and the guest has not received all of it: then it stays.
   */
  #endPredecessor(hostSide: Demiflow): boolean {
    const { flows, sockets } = this.#context.components
    const side = flows.lookup(IpProtocol.tcp, hostSide)
    const connection = side < 0 ? undefined : this.#context.connectionOf(flowOf(side))
    if (connection === undefined) return true
    const { socket, state, sender } = connection
    const lacksPayload = sendsToGuest(state) || sender.unacknowledged > 1
    if (lacksPayload && sockets.socketError(socket) >= 0) return false
    this.#context.count(connection)
    // Without a reset: nobody would receive it.
    if (socket >= 0) sockets.close(socket)
    connection.socket = NO_SOCKET
    this.#context.abort(connection, true)
    return true
  }

  /** True if no connection with the guest has these ends. One that only lingers to acknowledge a FIN makes room. */
  #isFree(tapSide: Demiflow): boolean {
    const side = this.#context.components.flows.lookup(IpProtocol.tcp, tapSide)
    if (side < 0) return true
    const connection = this.#context.connectionOf(flowOf(side))
    if (connection === undefined || connection.state !== State.timeWait || connection.socket >= 0) return false
    this.#context.apply(connection, Event.lingered)
    return true
  }

  /** Returns the crowd of connections at a listener's port. */
  #crowdOf(listener: Listener): number {
    return listener.ref % this.#unanswered.crowds
  }
}
