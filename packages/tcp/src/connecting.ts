/**
 * From the guest's SYN to a connection: a flow, a socket, and what the guest hears when the host's connect fails.
 *
 * The guest's SYN is answered only once the host is connected, so that a guest sees a refusal as a refusal: a reset. A
 * correspondent that can't be reached is reported as a router would (ICMP); a guest that has been waiting longer than
 * the host's patience learns the same. The host's SYN has the guest's hop limit, and what a router says when that is used up
 * comes to the guest in the router's name (connect-errors.ts).
 *
 * A socket takes the host longer than a packet. So sockets are opened at a pace (opening-pace.ts), and the other connections wait
 * for theirs: a flood of SYNs doesn't hold up what flows already. While many are unanswered, or wait, the pace is slower. While
 * many are unanswered, few may wait: what comes beyond that is dropped before it costs anything, and the guest sends its SYN again.
 * A crowd of connections to one destination leaves places to wait for the connections to others.
 */

import type { DropReason, SideRef } from "@demiflow/core"
import {
  Demiflow,
  Errno,
  FORWARD,
  HostEvent,
  hopLimitIn,
  IcmpErrors,
  Interface,
  IpProtocol,
  icmpErrorBudget,
  icmpForm,
  initiatingSide,
  isShortage,
  NO_FORM,
  PlaceShare,
  type Sequence,
  type Socket,
  targetSide,
  tracesRoute,
  trafficClassIn,
} from "@demiflow/core"
import { ConnectErrors, writeSyn } from "./connect-errors.ts"
import type { TcpConnection } from "./connection.ts"
import type { TcpContext } from "./context.ts"
import { crowdOf } from "./crowds.ts"
import { HalfOpen, mostHalfOpen } from "./half-open.ts"
import { beginNumbers, takeSyn } from "./handshake.ts"
import type { InitialSequence } from "./initial-sequence.ts"
import { OpeningPace } from "./opening-pace.ts"
import type { Segment } from "./segment.ts"
import { Event, State } from "./state.ts"
import { TCP_HEADER_LENGTH } from "./wire.ts"

/**
 * What a host answers that has no such port to give: another program has it, or only root may, or its last connection is too
 * new.
 */
const PORT_REFUSED: ReadonlySet<number> = new Set([Errno.EADDRINUSE, Errno.EACCES, Errno.EADDRNOTAVAIL])

export class Connecting {
  readonly #context: TcpContext
  readonly #initialSequence: InitialSequence
  readonly #errors: IcmpErrors
  readonly #budget = icmpErrorBudget()
  readonly #target = new Demiflow(Interface.host)
  /** Where the guest's SYN is put together for an ICMP error to quote, without its options. */
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
    this.#quote = arena.reserve(TCP_HEADER_LENGTH)
    this.#connectErrors = new ConnectErrors(context.components)
    this.#noSocket = drops.reason("tcp: no socket")
    this.#noHopLimit = drops.reason("tcp: hop limit 0")
    this.#tooMany = drops.reason("tcp: too many half-open connections")
    this.#gaveWay = drops.reason("tcp: gave way half open")
    this.#pace = new OpeningPace(context.components.clock)
    this.#halfOpen = new HalfOpen(mostHalfOpen(context.components), (connection) => this.#giveUp(connection))
  }

  /**
   * The guest asks for a new connection.
   *
   * @param highest where our numbers of the connection before between the same ends stopped, if this one takes its place
   */
  open(sequence: Sequence, segment: Segment, highest?: number): void {
    const { flows, forwarding, drops, handlerNumber } = this.#context.components
    const tapSide = sequence.demiflow
    if (hopLimitIn(segment.marks) === 0) {
      drops.count(this.#noHopLimit)
      return
    }
    const crowd = crowdOf(tapSide.forwardingAddress)
    if (this.#halfOpen.isQueueFull(crowd)) {
      // The guest's next SYN may find room.
      drops.count(this.#tooMany)
      return
    }
    const verdict = forwarding.target(IpProtocol.tcp, tapSide, this.#target)
    if (verdict !== FORWARD) {
      drops.count(verdict as DropReason)
      if (verdict === forwarding.prohibited) this.#report(tapSide, Errno.EPERM, segment.sequence)
      return
    }
    if (!this.#makeRoom(crowd)) {
      drops.count(this.#tooMany)
      return
    }
    // For the next SYN.
    if (flows.room(PlaceShare.all) <= 0 && !this.#halfOpen.giveWay(this.#context.now)) {
      this.#context.components.makeRoom(PlaceShare.all)
    }
    const created = flows.allocate(handlerNumber, IpProtocol.tcp)
    if (created < 0) {
      // The place of a flow that ended in this turn is free in the next one, for the guest's next SYN.
      if (flows.room(PlaceShare.all) <= 0) this.#context.output.refuse(tapSide, segment)
      return
    }
    const connection = this.#context.open(flows.activate(flows.target(flows.initiate(created, tapSide), this.#target)))
    this.#fill(connection, segment, crowd, highest)
    this.#openSockets()
  }

  /** Makes sure that one more of the crowd may begin; false if it may not. */
  #makeRoom(crowd: number): boolean {
    if (!this.#halfOpen.isFull(crowd)) return true
    this.#pace.begin()
    const hasRoom = this.#halfOpen.giveWay(this.#context.now, crowd)
    if (hasRoom) this.#pace.end()
    return hasRoom
  }

  /** Opens sockets for the connections that have waited longest, as many as may be now. */
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
    flows.readSide(side, this.#target)
    const socket = this.#openSocket(side, connection)
    if (socket >= 0) {
      connection.socket = socket
      return
    }
    // It has given way itself.
    if (connection.flow < 0) return
    const errno = -socket
    if (errno !== Errno.ECONNREFUSED && unreachable(errno, connection.tapSide.isV4) === NO_FORM)
      drops.count(this.#noSocket)
    this.failed(connection, errno)
  }

  /** From the port that the target has, if there is one and the host has it to give; else from any. */
  #openSocket(side: SideRef, connection: TcpConnection): Socket {
    const target = this.#target
    const { marks } = connection
    const { host } = this.#context.components
    const hopLimit = hopLimitIn(marks)
    const trafficClass = trafficClassIn(marks)
    const queuesErrors = tracesRoute(marks)
    let socket = host.tcpConnect(side, target, hopLimit, trafficClass, queuesErrors)
    if (isShortage(-socket) && (this.#halfOpen.giveWay(this.#context.now) || this.#context.components.relieve())) {
      if (connection.flow < 0) return socket
      socket = host.tcpConnect(side, target, hopLimit, trafficClass, queuesErrors)
    }
    if (socket >= 0 || target.forwardingPort === 0 || !PORT_REFUSED.has(-socket)) return socket
    target.forwardingPort = 0
    return host.tcpConnect(side, target, hopLimit, trafficClass, queuesErrors)
  }

  /** The host's connect has ended, well or not. */
  concluded(connection: TcpConnection, events: number): void {
    if (events & (HostEvent.error | HostEvent.hangUp)) {
      const error = this.#context.components.host.socketError(connection.socket)
      if (error < 0) {
        this.failed(connection, -error)
        return
      }
    }
    if (this.#isForbiddenByNow(connection)) {
      this.failed(connection, Errno.EPERM)
      return
    }
    if (tracesRoute(connection.marks)) {
      this.#context.components.host.stopQueuingErrors(connection.socket, connection.tapSide.isV4)
    }
    this.#context.chooseAcknowledgement(connection)
    this.#context.apply(connection, Event.hostConnected)
  }

  /** While the host repeated its SYN, the address may have become one of its own. */
  #isForbiddenByNow({ tapSide }: TcpConnection): boolean {
    const { drops, forwarding } = this.#context.components
    const { prohibited } = forwarding
    if (prohibited === undefined || forwarding.target(IpProtocol.tcp, tapSide, this.#target) !== prohibited)
      return false
    drops.count(prohibited)
    return true
  }

  /** The host's connect failed with this (positive) error number. */
  failed(connection: TcpConnection, errno: number): void {
    const { marks, socket, tapSide } = connection
    const isRelayed = socket >= 0 && tracesRoute(marks) && this.#connectErrors.relay(connection)
    if (!isRelayed && !this.#report(tapSide, errno, connection.initialFromTap)) {
      // RFC 9293, section 3.5.2: the guest never heard our number, so it is 0.
      connection.ackFromTap = 0
      connection.seqToTapHighest = 0
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
   * Another one takes its place. Of a connect that nobody has answered yet, the guest hears nothing: a reset would say that the
   * port is closed, an error that the host is gone, and either would end what only was slow. The guest's next SYN begins anew.
   */
  #giveUp(connection: TcpConnection): void {
    this.#context.components.drops.count(this.#gaveWay)
    this.#context.abort(connection, true)
  }

  #fill(connection: TcpConnection, segment: Segment, crowd: number, highest?: number): void {
    const { flows } = this.#context.components
    const { now } = this.#context
    const { tapSide } = connection
    flows.readSide(initiatingSide(connection.flow), tapSide)
    connection.state = State.connecting
    connection.marks = segment.marks
    connection.lastFromTap = now
    this.#halfOpen.addWaiting(connection, crowd, now)
    beginNumbers(connection, this.#initialSequence.next(tapSide, highest))
    takeSyn(this.#context.components, connection, segment)
    this.#context.arm(connection)
  }

  /**
   * Reports to the guest that its correspondent can't be reached, as often as the limit of errors allows. False if the error
   * is of another kind.
   */
  #report(tapSide: Demiflow, errno: number, initialFromTap: number): boolean {
    const form = unreachable(errno, tapSide.isV4)
    if (form === NO_FORM) return false
    // One error too many is left out, and no reset in its place.
    if (!this.#budget.take(this.#context.now)) return true
    const { bytes, view } = this.#context.components.arena
    writeSyn(view, bytes, this.#quote, tapSide, initialFromTap)
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
 * The form in which it is reported to the guest that its correspondent can't be reached, or `NO_FORM`. As for other
 * protocols, but that a refusal is a reset; that the host's patience has ended means what it means when a router says so; and
 * that a TCP socket is never denied a broadcast address, so a firewall it was.
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
