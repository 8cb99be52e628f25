/**
 * From a socket that was accepted to a SYN to the guest: a connection that a correspondent of the host begins. (One that is
 * local at both ends goes another way: local/splicing.ts.)
 *
 * The host's kernel has finished its handshake with the correspondent by then; what that sends waits in the socket until
 * the guest is connected as well. If the guest refuses, or doesn't answer, the correspondent gets a reset.
 *
 * Two correspondents may be the same to the guest: several addresses of the host's are known to it under one. Only their
 * ports differ then, so the one that comes second is given another port, if its address is a translated one anyhow.
 */
import {
  Demiflow,
  type DropReason,
  FORWARD,
  flowOf,
  hostAt,
  Interface,
  IpProtocol,
  initiatingSide,
  isShortage,
  type Listener,
  NO_SOCKET,
  PlaceShare,
  type Socket,
  takePlace,
  targetSide,
} from "@demiflow/core"
import type { TcpConnection } from "./connection.ts"
import type { TcpContext } from "./context.ts"
import { CROWDS } from "./crowds.ts"
import { HalfOpen, mostHalfOpen } from "./half-open.ts"
import { beginNumbers, INITIAL_WINDOW } from "./handshake.ts"
import type { InitialSequence } from "./initial-sequence.ts"
import type { Splicing } from "./local/splicing.ts"
import { distance } from "./sequence-number.ts"
import { Event, State, sendsToTap } from "./state.ts"
import { DEFAULT_MSS_V4, DEFAULT_MSS_V6 } from "./wire.ts"

/** The part of the traffic class that isn't ECN, which concerns the two kernels that speak to each other. */
const DSCP = 0xfc
/** The dynamic ports (RFC 6335, section 6), of which a correspondent gets one if its own is taken. */
const FIRST_DYNAMIC_PORT = 49_152
const DYNAMIC_PORTS = 65_536 - FIRST_DYNAMIC_PORT
/** Of these, how many are tried. */
const PORT_ATTEMPTS = 64

export class Accepted {
  readonly #context: TcpContext
  readonly #initialSequence: InitialSequence
  readonly #target = new Demiflow(Interface.tap)
  readonly #splicing: Splicing | undefined
  readonly #portInUse: DropReason
  /** Connections that the guest hasn't answered. */
  readonly #unanswered: HalfOpen
  #nextPort: number

  constructor(context: TcpContext, initialSequence: InitialSequence, splicing: Splicing | undefined) {
    const { drops, random } = context.components
    this.#context = context
    this.#initialSequence = initialSequence
    this.#splicing = splicing
    this.#portInUse = drops.reason("tcp: ends that another connection has")
    this.#unanswered = new HalfOpen(mostHalfOpen(context.components), (connection) => context.abort(connection, true))
    this.#nextPort = (random.int32() >>> 0) % DYNAMIC_PORTS
  }

  /** True while as many connections of the listener wait for the guest's answer as may. */
  isFull(listener: Listener): boolean {
    return listener.interface === Interface.host && this.#unanswered.isFull(crowdOf(listener))
  }

  /** True if enough connections have given way in this turn. */
  get hasGivenWay(): boolean {
    return this.#unanswered.hasGivenWay
  }

  /**
   * Ends the connection that has waited longest for the guest's answer, one of the listener's if that has too many; false if there
   * is none that has waited long enough.
   */
  giveWay(listener: Listener): boolean {
    return this.#unanswered.giveWay(this.#context.now, this.isFull(listener) ? crowdOf(listener) : undefined)
  }

  /** See `ProtocolHandler.endTurn`. */
  endTurn(): void {
    this.#unanswered.endTurn()
  }

  /**
   * Somebody has connected to the listener's port. Answers 0, or a negated error number if the host has no socket for the
   * other end: the connection was reset then.
   */
  open(listener: Listener, socket: Socket, initiating: Demiflow): number {
    const { components } = this.#context
    const { forwarding, drops, guest } = components
    const target = this.#target
    const verdict = forwarding.targetAtGuest(listener, initiating, guest, target)
    if (verdict !== FORWARD) drops.count(verdict as DropReason)
    else if (target.interface === Interface.tap) {
      this.#openToGuest(socket, initiating, target, crowdOf(listener))
      return 0
    } else if (this.#splicing !== undefined) {
      const result = this.#splicing.open(socket, initiating, target)
      return isShortage(-result) ? result : 0
    }
    hostAt(components, initiating.interface)?.reset(socket)
    return 0
  }

  #openToGuest(socket: Socket, hostSide: Demiflow, tapSide: Demiflow, crowd: number): void {
    const { flows, host, drops } = this.#context.components
    const hasEnds =
      this.#endPredecessor(hostSide) && (this.#isFree(tapSide) || this.#chooseAnotherPort(hostSide, tapSide))
    if (!hasEnds) {
      drops.count(this.#portInUse)
      host.reset(socket)
      return
    }
    const created = takePlace(this.#context.components, IpProtocol.tcp, PlaceShare.fromOutside)
    if (created < 0) {
      host.reset(socket)
      return
    }
    const flow = flows.activate(flows.target(flows.initiate(created, hostSide), tapSide))
    flows.makeTargetFindable(flow)
    const connection = this.#context.open(flow)
    flows.readSide(targetSide(flow), connection.tapSide)
    this.#begin(connection, socket, crowd)
    if (host.watch(socket, initiatingSide(flow)) < 0) this.#context.abort(connection, true)
  }

  #begin(connection: TcpConnection, socket: Socket, crowd: number): void {
    const { tapSide } = connection
    connection.socket = socket
    connection.state = State.synSent
    connection.lastFromTap = this.#context.now
    this.#unanswered.add(connection, crowd, this.#context.now)
    connection.trafficClassToTap = this.#context.components.host.acceptedTrafficClass(socket) & DSCP
    // Nothing is known of the guest's numbers before it answers.
    connection.initialFromTap = 0
    connection.seqFromTap = 0
    connection.ackToTap = 0
    connection.windowToTap = INITIAL_WINDOW
    connection.windowSeqFromTap = 0
    connection.mssToTap = tapSide.isV4 ? DEFAULT_MSS_V4 : DEFAULT_MSS_V6
    beginNumbers(connection, this.#initialSequence.next(tapSide))
    this.#context.chooseAcknowledgement(connection)
    this.#context.sendSyn(connection)
    this.#context.startRetransmitTimer(connection)
  }

  /**
   * The kernel connects no two sockets between the same ends: to the host, an earlier connection is over. It makes room, unless
   * it ended in order and the guest has not got all of it; then false is answered.
   */
  #endPredecessor(hostSide: Demiflow): boolean {
    const { flows, host } = this.#context.components
    const side = flows.lookup(IpProtocol.tcp, hostSide)
    const connection = side < 0 ? undefined : this.#context.connectionOf(flowOf(side))
    if (connection === undefined) return true
    const { socket, state, ackFromTap, seqToTapHighest } = connection
    const lacksPayload = sendsToTap(state) || distance(ackFromTap, seqToTapHighest) > 1
    if (lacksPayload && host.socketError(socket) >= 0) return false
    // Not by a reset: there is nobody whom it would reach.
    if (socket >= 0) host.close(socket)
    connection.socket = NO_SOCKET
    this.#context.abort(connection, true)
    return true
  }

  /** True if no connection with the guest has these ends. One that only stays to acknowledge a FIN makes room. */
  #isFree(tapSide: Demiflow): boolean {
    const side = this.#context.components.flows.lookup(IpProtocol.tcp, tapSide)
    if (side < 0) return true
    const connection = this.#context.connectionOf(flowOf(side))
    if (connection === undefined || connection.state !== State.timeWait || connection.socket >= 0) return false
    this.#context.apply(connection, Event.lingered)
    return true
  }

  #chooseAnotherPort(hostSide: Demiflow, tapSide: Demiflow): boolean {
    if (tapSide.forwardingAddress.equals(hostSide.correspondentAddress)) return false
    for (let attempt = 0; attempt < PORT_ATTEMPTS; attempt++) {
      tapSide.forwardingPort = FIRST_DYNAMIC_PORT + this.#nextPort
      this.#nextPort = (this.#nextPort + 1) % DYNAMIC_PORTS
      if (this.#isFree(tapSide)) return true
    }
    return false
  }
}

/** The crowd of connections at a port. */
function crowdOf(listener: Listener): number {
  return listener.ref % CROWDS
}
