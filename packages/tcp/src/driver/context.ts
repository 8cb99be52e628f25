import type { Components, FlowEndId, FlowIndex, FlowTotals, TcpInformation } from "@demiflow/core"
import { FlowEnd, markSocket, Vectors } from "@demiflow/core"
import { OWN_WINDOW_SCALE } from "../connection/handshake.ts"
import { HostEffect, HostEvent } from "../connection/host-side.ts"
import { keepAliveAt } from "../connection/keep-alive.ts"
import { Acknowledgement } from "../connection/receiver.ts"
import { TcpFlag } from "../connection/segment.ts"
import {
  awaitsFinAcknowledgement,
  Effect,
  Event,
  type EventId,
  isBeginning,
  State,
  stateName,
} from "../connection/state.ts"
import type { TcpOptions } from "../options.ts"
import { ConnectionTotals } from "./connection-totals.ts"
import { HoldPool } from "./hold-pool.ts"
import { SegmentWriter } from "./output.ts"
import { PollWheel } from "./poll-wheel.ts"
import type { TcpConnection } from "./tcp-connection.ts"

/** Maximum number of segments of one `sendmsg` or `recvmsg`. */
export const MAXIMUM_VECTORS = 512

/** How long a connection lingers to acknowledge a repeated FIN, milliseconds: the link to the guest loses little. */
const LINGER = 1000

/** State shared by the parts of the protocol: the stack's components, the pool, and the life of connections. */
export class TcpContext {
  readonly components: Components
  readonly options: Required<TcpOptions>
  readonly output: SegmentWriter
  readonly pool: HoldPool
  /** Connections whose correspondents' acknowledgements are polled. */
  readonly polls: PollWheel = new PollWheel()
  /** For the one system call that is being prepared: nothing in it is passed from one function to another. */
  readonly vectors: Vectors
  readonly information: TcpInformation = {
    minimumRtt: 0,
    rtt: 0,
    bytesAcknowledged: 0,
    bytesReceived: 0,
    sendWindow: 0,
    sendMss: 0,
    notSentBytes: 0,
    silence: 0,
  }
  readonly #totals: ConnectionTotals
  /** Connections by flow. */
  readonly #connections: (TcpConnection | undefined)[] = []
  readonly #spare: TcpConnection[] = []
  readonly #create: () => TcpConnection
  #wakeAt = Number.POSITIVE_INFINITY

  constructor(components: Components, options: Required<TcpOptions>, create: () => TcpConnection) {
    this.components = components
    this.options = options
    this.output = new SegmentWriter(components.arena, components.guest)
    this.pool = new HoldPool(components.arena, options.holdPoolSize)
    this.vectors = new Vectors(components.arena, MAXIMUM_VECTORS)
    this.#totals = new ConnectionTotals(components.sockets, this.information)
    this.#create = create
  }

  get now(): number {
    return this.components.clock.now
  }

  /** Returns the connection of an active flow. */
  connectionOf(flow: FlowIndex): TcpConnection | undefined {
    return this.#connections[flow]
  }

  /** Returns a connection for the flow, from the pool. */
  open(flow: FlowIndex): TcpConnection {
    const connection = this.#spare.pop() ?? this.#create()
    connection.reset()
    connection.flow = flow
    // Grown one by one, so that V8 never turns it into a dictionary.
    while (this.#connections.length <= flow) this.#connections.push(undefined)
    this.#connections[flow] = connection
    if (this.components.reports.isObserved) this.#totals.begin(flow)
    return connection
  }

  /** See `ProtocolHandler.totalsOf`. While a connection has its socket, what it has carried so far. */
  totalsOf(flow: FlowIndex): FlowTotals {
    const connection = this.#connections[flow]
    if (connection !== undefined) this.count(connection)
    return this.#totals.of(flow)
  }

  /** Counts what a connection has carried, before its socket is closed. */
  count(connection: TcpConnection): void {
    if (this.components.reports.isObserved && connection.socket >= 0) this.#totals.count(connection)
  }

  /** Applies an event to a connection's state, and carries out the effects. */
  apply(connection: TcpConnection, event: EventId): void {
    const before = connection.state
    const effects = connection.transit(event)
    if (connection.beginning !== undefined && !isBeginning(connection.state)) connection.beginning.finish()
    if (this.components.log.isDebug) this.#logTransition(connection, stateName(before))
    const { reports } = this.components
    const isOther = connection.state !== before && connection.state !== State.closed
    if (reports.isObserved && isOther) {
      if (connection.state === State.established) this.#totals.established(connection)
      reports.changed(connection.flow, stateName(connection.state))
    }
    if (effects & Effect.sendSynAck) {
      this.sendSyn(connection)
      this.startRetransmitTimer(connection)
    }
    if (effects & Effect.shutdownHost) connection.writeHost(HostEvent.finFromGuest)
    if (effects & Effect.linger) {
      connection.sender.retransmitAt = -1
      connection.lingerUntil = this.now + LINGER
      this.arm(connection)
    }
    // A guest that has closed is probed earlier from now on.
    if (connection.state === State.closeWait) this.arm(connection)
    if (effects & (Effect.shutdownHost | Effect.linger)) this.settleHost(connection)
    if (effects & Effect.release) {
      if (event !== Event.abort && connection.heldBytes > 0) {
        // The guest's payload is acknowledged and must still be delivered: the connection stays until it is.
        connection.state = State.timeWait
        connection.sender.retransmitAt = -1
        connection.lastFromGuest = this.now
        this.arm(connection)
      } else this.#release(connection, event === Event.abort ? FlowEnd.aborted : FlowEnd.done)
    }
  }

  /** Shuts down and closes the host's socket, if that is due, once all payload was handed over. */
  settleHost(connection: TcpConnection): void {
    if (connection.heldBytes > 0 || connection.socket < 0) return
    const effects = connection.writeHost(HostEvent.delivered)
    if (effects & HostEffect.shutdownWrite) this.components.sockets.shutdownWrite(connection.socket)
    if (connection.state !== State.timeWait) return
    this.#closeSocket(connection)
    if (connection.lingerUntil < 0) this.apply(connection, Event.lingered)
  }

  /**
   * Ends a connection at once: the host's correspondent gets a reset, and so does the guest if `informsGuest` is true.
   */
  abort(connection: TcpConnection, informsGuest: boolean): void {
    const { sockets } = this.components
    if (informsGuest && connection.state > State.connecting && connection.state !== State.timeWait) {
      this.output.sendReset(connection)
    }
    this.count(connection)
    if (connection.socket >= 0) sockets.reset(connection.socket)
    connection.socket = -1 as typeof connection.socket
    this.#clear(connection)
    this.apply(connection, Event.abort)
  }

  /**
   * Ends a connection that the guest has reset. If both directions have ended, that is a normal end (RFC 9293, section
   * 3.10.7.4: no error in CLOSING and LAST-ACK), and the guest's payload is still delivered.
   */
  resetFromGuest(connection: TcpConnection): void {
    const { sender } = connection
    // The reset may only answer our probe: the guest has closed, and forgotten the connection.
    if (connection.keepAliveProbes > 0 && this.leaveToHost(connection)) return
    if (connection.state !== State.closing && connection.state !== State.lastAck) {
      this.abort(connection, false)
      return
    }
    // All but our FIN is payload that nobody waits for any more.
    connection.undiscardedBytes += sender.unacknowledged - 1
    sender.ackFromGuest = sender.seqToGuestHighest
    sender.seqToGuest = sender.seqToGuestHighest
    this.apply(connection, Event.finAcknowledged)
  }

  /**
   * Leaves the rest to the host if the guest has closed and is gone: a correspondent that hasn't received everything
   * gets the rest, as it would from the guest's own kernel. Returns false if the connection isn't of this kind.
   */
  leaveToHost(connection: TcpConnection): boolean {
    if (connection.state !== State.closeWait || connection.sender.unacknowledged > 0) return false
    if (connection.heldBytes === 0 && this.components.sockets.unacknowledged(connection.socket) <= 0) return false
    this.apply(connection, Event.finToGuest)
    this.apply(connection, Event.finAcknowledged)
    return true
  }

  /** Sends our SYN. The timer repeats it, independently of the guest's segments. */
  sendSyn(connection: TcpConnection): void {
    const isFirst = connection.state === State.synSent
    const scale = connection.receiver.windowScaleToGuest > 0 ? connection.receiver.windowScaleToGuest : -1
    this.output.sendSyn(connection, isFirst ? 0 : TcpFlag.acknowledgement, isFirst ? OWN_WINDOW_SCALE : scale)
    connection.sender.sentSyn()
  }

  startRetransmitTimer(connection: TcpConnection): void {
    connection.sender.startTimer(this.now)
    this.arm(connection)
  }

  /** Makes the host's socket send as the guest does: with its hop limit and traffic class. */
  mark(connection: TcpConnection, marks: number): void {
    markSocket(this.components.sockets, connection.socket, connection.tapSide.isV4, connection.marks, marks)
    connection.marks = marks
  }

  /**
   * Sends everything again that waits for an answer of the guest: connection by connection, as the flow table wakes
   * them.
   */
  retryAll(): void {
    for (const connection of this.#connections) {
      if (connection === undefined || connection.sender.retransmitAt < 0) continue
      connection.sender.retryNow(this.now)
      this.arm(connection)
    }
  }

  /** Decides by the distance of the correspondent if payload counts as acknowledged once the host took it. */
  chooseAcknowledgement(connection: TcpConnection): void {
    const { components, information, options } = this
    if (components.sockets.tcpInformation(connection.socket, information) < 0) return
    connection.receiver.chooseAcknowledgement(information.minimumRtt, options.acknowledgeOnAcceptRtt)
  }

  /** Lingers longer: the guest doesn't know yet that the connection is done. */
  linger(connection: TcpConnection): void {
    if (connection.lingerUntil < 0) return
    connection.lingerUntil = this.now + LINGER
    this.arm(connection)
  }

  /**
   * Makes sure that the flow table wakes us in time. A deadline that moves further away is left unchanged: one wake-up
   * too early costs less than a new deadline for each segment.
   */
  arm(connection: TcpConnection): void {
    let deadline = keepAliveAt(connection)
    const { retransmitAt } = connection.sender
    if (retransmitAt >= 0 && retransmitAt < deadline) deadline = retransmitAt
    if (connection.lingerUntil >= 0 && connection.lingerUntil < deadline) deadline = connection.lingerUntil
    // Never at this very moment: what is due now is being handled.
    if (deadline <= this.now) deadline = this.now + 1
    if (connection.scheduledAt >= 0 && connection.scheduledAt <= deadline) return
    connection.scheduledAt = deadline
    this.components.flows.schedule(connection.flow, deadline)
  }

  /** Requests a tick at this time, or earlier. */
  wake(at: number): void {
    if (at >= this.#wakeAt) return
    this.#wakeAt = at
    this.components.wakeAt(at)
  }

  /** Notes that the tick has come. */
  woken(): void {
    this.#wakeAt = Number.POSITIVE_INFINITY
  }

  /** True if anything that we sent, or have to send, waits for the guest. */
  isOutstanding(connection: TcpConnection): boolean {
    return connection.sender.unacknowledged > 0 || awaitsFinAcknowledgement(connection.state)
  }

  /** Drops all payload that is kept for a connection. */
  #clear(connection: TcpConnection): void {
    this.pool.clear(connection)
    if (connection.islands === undefined) return
    for (const island of connection.islands) this.pool.clear(island)
    connection.islands = undefined
  }

  #closeSocket(connection: TcpConnection): void {
    const { sockets } = this.components
    this.count(connection)
    // Unread payload at close would make the kernel send a reset.
    if (connection.undiscardedBytes > 0) sockets.discard(connection.socket, connection.undiscardedBytes)
    connection.undiscardedBytes = 0
    sockets.close(connection.socket)
    connection.socket = -1 as typeof connection.socket
    this.polls.clear(connection)
  }

  #release(connection: TcpConnection, end: FlowEndId): void {
    if (connection.socket >= 0) this.#closeSocket(connection)
    this.#clear(connection)
    this.polls.clear(connection)
    this.components.flows.release(connection.flow, end)
    this.#connections[connection.flow] = undefined
    this.#totals.end(connection.flow)
    connection.flow = -1 as FlowIndex
    connection.state = State.closed
    connection.receiver.due = Acknowledgement.none
    this.#spare.push(connection)
  }

  #logTransition(connection: TcpConnection, before: string): void {
    const { flow, tapSide, state } = connection
    this.components.log.debug(`flow ${flow} (tcp) ${tapSide}: ${before} → ${stateName(state)}`)
  }
}
