/**
 * From the guest's SYN to a connection: a flow, a socket, and the report to the guest if the host's connect fails.
 *
 * The guest's SYN is answered only once the host is connected, so that a refusal is one to the guest as well: a reset.
 * A correspondent that can't be reached is reported as a router would do it (ICMP), and so is a connect that times out
 * on the host. The host's SYN has the guest's hop limit; a router's "time exceeded" reaches the guest in the router's
 * name (connect-errors.ts).
 *
 * Opening a socket takes the host longer than a packet does. So sockets are opened at a pace (opening-pace.ts), and the
 * other connections wait for theirs: a flood of SYNs doesn't delay existing flows. While many connections are
 * unanswered, or wait, the pace is slower. While many are unanswered, no more than a few hundred may wait: further SYNs
 * are dropped before they cost anything, and the guest sends them again. A crowd of connections to one destination
 * leaves places in the queue to other destinations.
 */

import type { Demiflow, DropReason, SideRef } from "@demiflow/core"
import {
  Errno,
  hopLimitIn,
  IpProtocol,
  initiatingSide,
  isShortage,
  NO_SOCKET,
  PlaceShare,
  Refusal,
  Ruling,
  type Sequence,
  type Socket,
  targetSide,
  tracesRoute,
  trafficClassIn,
  Verdict,
} from "@demiflow/core"
import { IcmpErrors, icmpErrorBudget, icmpForm, NO_FORM } from "@demiflow/protocol-kit"
import { Event, State } from "../connection/state.ts"
import { ConnectErrors, writeSyn } from "./connect-errors.ts"
import type { TcpContext } from "./context.ts"
import { crowdOf } from "./crowds.ts"
import { HalfOpen, mostHalfOpen } from "./half-open.ts"
import { receiveSyn } from "./handshake.ts"
import type { InitialSequence } from "./initial-sequence.ts"
import { OpeningPace } from "./opening-pace.ts"
import type { ReceivedSegment } from "./received-segment.ts"
import type { TcpConnection } from "./tcp-connection.ts"
import { TCP_HEADER_LENGTH } from "./wire.ts"

/**
 * Errors of a host that can't give a socket the wanted port: another program has it, it needs root, or its last
 * connection is too recent.
 */
const PORT_REFUSED: ReadonlySet<number> = new Set([Errno.EADDRINUSE, Errno.EACCES, Errno.EADDRNOTAVAIL])

export class Connecting {
  readonly #context: TcpContext
  readonly #initialSequence: InitialSequence
  readonly #errors: IcmpErrors
  readonly #budget = icmpErrorBudget()
  readonly #ruling = new Ruling()
  /** Offset of the guest's SYN, without its options, as the quote of an ICMP error. */
  readonly #quote: number
  readonly #connectErrors: ConnectErrors
  readonly #noSocket: DropReason
  readonly #noHopLimit: DropReason
  readonly #tooMany: DropReason
  readonly #gaveWay: DropReason
  readonly #halfOpen: HalfOpen
  readonly #pace: OpeningPace

  constructor(context: TcpContext, initialSequence: InitialSequence) {
    const { arena, guest, drops } = context.components
    this.#context = context
    this.#initialSequence = initialSequence
    this.#errors = new IcmpErrors(arena, guest)
    this.#quote = arena.reserve(TCP_HEADER_LENGTH, 64, "the handler of TCP")
    this.#connectErrors = new ConnectErrors(context.components)
    this.#noSocket = drops.reason("tcp: no socket")
    this.#noHopLimit = drops.reason("tcp: hop limit 0")
    this.#tooMany = drops.reason("tcp: too many half-open connections")
    this.#gaveWay = drops.reason("tcp: gave way half open")
    this.#pace = new OpeningPace(context.components.clock)
    this.#halfOpen = new HalfOpen(mostHalfOpen(context.components), (connection) => this.#giveUp(connection))
  }

  /**
   * Begins a connection for the guest's SYN. Returns true if the policy decides later: then the stack has taken the
   * packets from `index` on.
   *
   * @param index of the SYN in its sequence
   * @param highest our highest sequence number in the connection between the same ends that the new one replaces, if
   *   any
   */
  open(sequence: Sequence, index: number, segment: ReceivedSegment, highest?: number): boolean {
    const { flows, verdicts, drops, handlerNumber } = this.#context.components
    const tapSide = sequence.demiflow
    if (hopLimitIn(segment.marks) === 0) {
      drops.count(this.#noHopLimit)
      return false
    }
    const crowd = crowdOf(tapSide.forwardingAddress, this.#halfOpen.crowds)
    if (this.#halfOpen.isQueueFull(crowd)) {
      // There may be room for the guest's next SYN.
      drops.count(this.#tooMany)
      return false
    }
    const ruling = this.#ruling
    const verdict = verdicts.fromGuest(IpProtocol.tcp, tapSide, ruling, sequence, index)
    if (verdict === Verdict.later) return true
    if (verdict !== Verdict.forward) {
      drops.count(ruling.reason)
      if (verdict === Verdict.refuse) this.#refuse(tapSide, segment)
      return false
    }
    if (!this.#makeRoom(crowd)) {
      drops.count(this.#tooMany)
      return false
    }
    // The place is free in the next turn, for the guest's next SYN: not by `takePlace`, which needs it in this one.
    if (flows.room(PlaceShare.all) <= 0 && !this.#halfOpen.giveWay(this.#context.now)) {
      this.#context.components.makeRoom(PlaceShare.all)
    }
    const created = flows.allocate(handlerNumber, IpProtocol.tcp)
    if (created < 0) {
      // If a flow ended in this turn, its place is free in the next one, for the guest's next SYN. Otherwise, refuse.
      if (flows.room(PlaceShare.all) <= 0) this.#context.output.refuse(tapSide, segment)
      return false
    }
    const targeted = flows.target(flows.initiate(created, tapSide), ruling.target, ruling.rule)
    const connection = this.#context.open(flows.activate(targeted))
    this.#fill(connection, segment, crowd, highest)
    this.#openSockets()
    return false
  }

  /** Reports that the policy refuses the guest's SYN. */
  #refuse(tapSide: Demiflow, segment: ReceivedSegment): void {
    if (this.#ruling.refusal === Refusal.reset) this.#context.output.refuse(tapSide, segment)
    else this.#report(tapSide, Errno.EPERM, segment.sequence)
  }

  /** Makes room for one more connection of the crowd. Returns false if there is none. */
  #makeRoom(crowd: number): boolean {
    if (!this.#halfOpen.isFull(crowd)) return true
    this.#pace.begin()
    const hasRoom = this.#halfOpen.giveWay(this.#context.now, crowd)
    if (hasRoom) this.#pace.end()
    return hasRoom
  }

  /** Opens sockets for the connections that have waited longest, as many as the pace allows. */
  #openSockets(): void {
    const pace = this.#pace
    while (this.#halfOpen.hasWaiting && pace.take(this.#halfOpen.isFlooded)) {
      const connection = this.#halfOpen.takeWaiting()
      if (connection === undefined) return
      pace.begin()
      this.#connect(connection)
      pace.end()
    }
  }

  #connect(connection: TcpConnection): void {
    const { flows, drops } = this.#context.components
    const side = targetSide(connection.flow)
    flows.readSide(side, this.#ruling.target)
    const socket = this.#openSocket(side, connection)
    if (socket >= 0) {
      connection.socket = socket
      return
    }
    // The connection has given way itself.
    if (connection.flow < 0) return
    const errno = -socket
    if (errno !== Errno.ECONNREFUSED && unreachable(errno, connection.tapSide.isV4) === NO_FORM)
      drops.count(this.#noSocket)
    this.failed(connection, errno)
  }

  /**
   * Opens a socket from the port that the target names, if it names one and the host can give it; else from any. Each
   * connection needs a socket of its own, so it can't board a port of `GuestPorts` as datagrams do.
   */
  #openSocket(side: SideRef, connection: TcpConnection): Socket {
    const { target } = this.#ruling
    const { marks } = connection
    const { sockets } = this.#context.components
    const hopLimit = hopLimitIn(marks)
    const trafficClass = trafficClassIn(marks)
    const queuesErrors = tracesRoute(marks)
    let socket = sockets.tcpConnect(side, target, hopLimit, trafficClass, queuesErrors)
    if (isShortage(-socket) && (this.#halfOpen.giveWay(this.#context.now) || this.#context.components.relieve())) {
      if (connection.flow < 0) return socket
      socket = sockets.tcpConnect(side, target, hopLimit, trafficClass, queuesErrors)
    }
    if (socket >= 0 || target.forwardingPort === 0 || !PORT_REFUSED.has(-socket)) return socket
    target.forwardingPort = 0
    return sockets.tcpConnect(side, target, hopLimit, trafficClass, queuesErrors)
  }

  /**
   * Connects once more, from any port, if the host has refused the wanted one only now. Sockets that report such errors
   * at once have no others: from these, the same numbers come from the network. Returns false if the connection has
   * failed.
   */
  #connectsFromAnyPort(connection: TcpConnection, errno: number): boolean {
    const { sockets, flows } = this.#context.components
    const { target } = this.#ruling
    const { immediateErrors = true, ownEnds = true } = sockets.capabilities ?? {}
    if (immediateErrors || !ownEnds || connection.isFromAnyPort) return false
    const side = targetSide(connection.flow)
    flows.readSide(side, target)
    if (target.forwardingPort === 0 || !PORT_REFUSED.has(errno)) return false
    sockets.close(connection.socket)
    connection.socket = NO_SOCKET
    connection.isFromAnyPort = true
    target.forwardingPort = 0
    this.#pace.begin()
    const socket = this.#openSocket(side, connection)
    this.#pace.end()
    // The connection has given way itself.
    if (connection.flow < 0) return true
    if (socket < 0) return false
    connection.socket = socket
    return true
  }

  /** Takes the outcome of the host's connect. Does nothing if it is still in progress. */
  concluded(connection: TcpConnection): void {
    const outcome = this.#context.components.sockets.connectOutcome(connection.socket)
    if (outcome === -Errno.EINPROGRESS) return
    if (outcome < 0) {
      if (!this.#connectsFromAnyPort(connection, -outcome)) this.failed(connection, -outcome)
      return
    }
    if (this.#isForbiddenByNow(connection)) {
      this.failed(connection, this.#ruling.refusal === Refusal.reset ? Errno.ECONNREFUSED : Errno.EPERM)
      return
    }
    if (tracesRoute(connection.marks)) {
      this.#context.components.sockets.stopQueuingErrors(connection.socket, connection.tapSide.isV4)
    }
    this.#context.chooseAcknowledgement(connection)
    this.#context.apply(connection, Event.hostConnected)
  }

  /**
   * True if the policy forbids the connection by now: the address may have become one of the host's own while the host
   * repeated its SYN.
   */
  #isForbiddenByNow({ tapSide }: TcpConnection): boolean {
    const { drops, verdicts } = this.#context.components
    if (verdicts.again(IpProtocol.tcp, tapSide, this.#ruling) === Verdict.forward) return false
    drops.count(this.#ruling.reason)
    return true
  }

  /** Reports that the host's connect failed with this (positive) error number, and ends the connection. */
  failed(connection: TcpConnection, errno: number): void {
    const { marks, socket, tapSide } = connection
    const isRelayed = socket >= 0 && tracesRoute(marks) && this.#connectErrors.relay(connection)
    if (!isRelayed && !this.#report(tapSide, errno, connection.receiver.initialFromGuest)) {
      // RFC 9293, section 3.5.2: the guest never received a number of ours, so the reset has number 0.
      connection.sender.ackFromGuest = 0
      connection.sender.seqToGuestHighest = 0
      this.#context.output.sendReset(connection)
    }
    this.#context.abort(connection, false)
  }

  /** See `ProtocolHandler.tick`. */
  tick(): void {
    this.#openSockets()
  }

  /** See `ProtocolHandler.endTurn`. */
  endTurn(): void {
    this.#halfOpen.endTurn()
    this.#pace.endTurn()
    if (this.#halfOpen.hasWaiting) this.#context.wake(this.#pace.nextAt(this.#halfOpen.isFlooded))
  }

  /**
   * Ends a connection that gives way to another one. The guest is sent nothing about a connect that is unanswered: a
   * reset would say that the port is closed, an error that the host is unreachable, and either would end a connect that
   * is only slow. The guest's next SYN begins anew.
   */
  #giveUp(connection: TcpConnection): void {
    this.#context.components.drops.count(this.#gaveWay)
    this.#context.abort(connection, true)
  }

  #fill(connection: TcpConnection, segment: ReceivedSegment, crowd: number, highest?: number): void {
    const { flows } = this.#context.components
    const { now } = this.#context
    const { tapSide } = connection
    flows.readSide(initiatingSide(connection.flow), tapSide)
    connection.state = State.connecting
    connection.marks = segment.marks
    connection.lastFromGuest = now
    this.#halfOpen.addWaiting(connection, crowd, now)
    connection.sender.begin(this.#initialSequence.next(tapSide, highest))
    receiveSyn(this.#context.components, connection, segment)
    this.#context.arm(connection)
  }

  /**
   * Reports to the guest that its correspondent can't be reached, within the rate limit of errors. Returns false if the
   * error is of another kind.
   */
  #report(tapSide: Demiflow, errno: number, initialFromGuest: number): boolean {
    const form = unreachable(errno, tapSide.isV4)
    if (form === NO_FORM) return false
    // Beyond the limit, the error is omitted, and no reset is sent in its place.
    if (!this.#budget.take(this.#context.now)) return true
    const { bytes, view } = this.#context.components.arena
    writeSyn(view, bytes, this.#quote, tapSide, initialFromGuest)
    const length = TCP_HEADER_LENGTH
    this.#errors.send(
      tapSide,
      form >> 8,
      form & 0xff,
      0,
      tapSide.forwardingAddress,
      IpProtocol.tcp,
      this.#quote,
      length,
      length,
    )
    return true
  }
}

/**
 * Returns the ICMP form of a connect error, or `NO_FORM`. As `icmpForm`, except: ECONNREFUSED is a reset; ETIMEDOUT
 * maps to host unreachable; EACCES can only be a firewall here, since TCP never connects to a broadcast address.
 */
function unreachable(errno: number, isV4: boolean): number {
  switch (errno) {
    case Errno.ECONNREFUSED:
      return NO_FORM
    case Errno.ETIMEDOUT:
      return icmpForm(Errno.EHOSTUNREACH, isV4)
    case Errno.EACCES:
      return icmpForm(Errno.EPERM, isV4)
    default:
      return icmpForm(errno, isV4)
  }
}
