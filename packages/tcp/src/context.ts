import type { Components, FlowIndex, TcpInformation } from "@demiflow/core"
import { markSocket, Vectors } from "@demiflow/core"
import type { TcpConnection } from "./connection.ts"
import { isBeginning } from "./half-open.ts"
import { OWN_WINDOW_SCALE } from "./handshake.ts"
import { HoldPool } from "./hold-pool.ts"
import { keepAliveAt } from "./keep-alive.ts"
import type { TcpOptions } from "./options.ts"
import { SegmentWriter } from "./output.ts"
import { PollWheel } from "./poll-wheel.ts"
import { withoutBackOff } from "./round-trip.ts"
import { distance } from "./sequence-number.ts"
import {
  awaitsFinAcknowledgement,
  Effect,
  Event,
  type EventId,
  effectsOf,
  ILLEGAL,
  nextState,
  State,
  stateName,
  transition,
} from "./state.ts"
import { TcpFlag } from "./wire.ts"

/** Segments of one `sendmsg` or `recvmsg` at most. */
export const MAXIMUM_VECTORS = 512

/** How long we stay to acknowledge a FIN that comes again, milliseconds: the link to the guest loses little. */
const LINGER = 1000

/** What the parts of the protocol share: the stack's components, the pool, and what becomes of a connection. */
export class TcpContext {
  readonly components: Components
  readonly options: Required<TcpOptions>
  readonly output: SegmentWriter
  readonly pool: HoldPool
  /** Whose correspondents are to be asked for their acknowledgements. */
  readonly polls: PollWheel = new PollWheel()
  /** Payload of one sequence from the guest, as it is gathered. */
  readonly gathered: Vectors
  /** Scratch for any other system call. */
  readonly vectors: Vectors
  readonly information: TcpInformation = {
    minimumRtt: 0,
    rtt: 0,
    bytesAcknowledged: 0,
    sendWindow: 0,
    sendMss: 0,
    notSentBytes: 0,
    silence: 0,
  }
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
    this.gathered = new Vectors(components.arena, MAXIMUM_VECTORS)
    this.vectors = new Vectors(components.arena, MAXIMUM_VECTORS)
    this.#create = create
  }

  get now(): number {
    return this.components.clock.now
  }

  /** The connection of an active flow. */
  connectionOf(flow: FlowIndex): TcpConnection | undefined {
    return this.#connections[flow]
  }

  /** A connection for the flow, from the pool. */
  open(flow: FlowIndex): TcpConnection {
    const connection = this.#spare.pop() ?? this.#create()
    connection.reset()
    connection.flow = flow
    // Grown one by one, so that it never becomes a dictionary.
    while (this.#connections.length <= flow) this.#connections.push(undefined)
    this.#connections[flow] = connection
    return connection
  }

  /** Applies an event to a connection's state and does what follows from it. */
  apply(connection: TcpConnection, event: EventId): void {
    const result = transition(connection.state, event)
    if (result === ILLEGAL) throw new IllegalTransitionError(stateName(connection.state), event)
    const before = connection.state
    connection.state = nextState(result)
    const { halfOpen } = connection
    if (halfOpen !== undefined && !isBeginning(connection.state)) halfOpen.list.remove(halfOpen)
    if (this.components.log.isDebug) this.#logTransition(connection, stateName(before))
    const effects = effectsOf(result)
    if (effects & Effect.sendSynAck) {
      this.sendSyn(connection)
      this.startRetransmitTimer(connection)
    }
    if (effects & Effect.shutdownHost) connection.isHostShutPending = true
    if (effects & Effect.linger) {
      connection.retransmitAt = -1
      connection.lingerUntil = this.now + LINGER
      this.arm(connection)
    }
    // Asked earlier from now on whether it is still there.
    if (connection.state === State.closeWait) this.arm(connection)
    if (effects & (Effect.shutdownHost | Effect.linger)) this.settleHost(connection)
    if (effects & Effect.release) {
      if (event !== Event.abort && connection.heldBytes > 0) {
        // What the guest sent is acknowledged and must still be delivered: stay until it is.
        connection.state = State.timeWait
        connection.retransmitAt = -1
        connection.lastFromTap = this.now
        this.arm(connection)
      } else this.#release(connection)
    }
  }

  /** Passes on to the host's socket what had to wait until all payload was handed over: shutdown, then close. */
  settleHost(connection: TcpConnection): void {
    if (connection.heldBytes > 0 || connection.socket < 0) return
    const { host } = this.components
    if (connection.isHostShutPending && !connection.isHostWriteShut) {
      connection.isHostWriteShut = true
      host.shutdownWrite(connection.socket)
    }
    if (connection.state !== State.timeWait) return
    this.#closeSocket(connection)
    if (connection.lingerUntil < 0) this.apply(connection, Event.lingered)
  }

  /** Ends a connection at once: the host's correspondent gets a reset, and so does the guest with `tellGuest`. */
  abort(connection: TcpConnection, tellGuest: boolean): void {
    const { host } = this.components
    if (tellGuest && connection.state > State.connecting && connection.state !== State.timeWait) {
      this.output.sendReset(connection)
    }
    if (connection.socket >= 0) host.reset(connection.socket)
    connection.socket = -1 as typeof connection.socket
    this.#clear(connection)
    this.apply(connection, Event.abort)
  }

  /**
   * The guest has reset the connection. If both directions have ended, that is how it leaves (RFC 9293, section 3.10.7.4:
   * no error in CLOSING and LAST-ACK), and what it had sent is still delivered.
   */
  resetFromTap(connection: TcpConnection): void {
    const { ackFromTap, seqToTapHighest } = connection
    // The reset may only be the answer to our question: the guest has closed, and forgotten the connection.
    if (connection.keepAliveProbes > 0 && this.leaveToHost(connection)) return
    if (connection.state !== State.closing && connection.state !== State.lastAck) {
      this.abort(connection, false)
      return
    }
    // All but our FIN is payload that nobody waits for any more.
    connection.undiscardedBytes += distance(ackFromTap, seqToTapHighest) - 1
    connection.ackFromTap = seqToTapHighest
    connection.seqToTap = seqToTapHighest
    this.apply(connection, Event.finAcknowledged)
  }

  /**
   * A guest that has closed is gone. If its correspondent hasn't got all yet, it gets the rest, as it would from the guest's own
   * kernel. False if there is no such connection.
   */
  leaveToHost(connection: TcpConnection): boolean {
    if (connection.state !== State.closeWait || connection.ackFromTap !== connection.seqToTapHighest) return false
    if (connection.heldBytes === 0 && this.components.host.unacknowledged(connection.socket) <= 0) return false
    this.apply(connection, Event.finToTap)
    this.apply(connection, Event.finAcknowledged)
    return true
  }

  /** Sends our SYN. When it is sent again is the timer's business, whatever the guest asks for. */
  sendSyn(connection: TcpConnection): void {
    const isFirst = connection.state === State.synSent
    const scale = connection.windowScaleToTap > 0 ? connection.windowScaleToTap : -1
    this.output.sendSyn(connection, isFirst ? 0 : TcpFlag.acknowledgement, isFirst ? OWN_WINDOW_SCALE : scale)
    connection.seqToTap = (connection.initialToTap + 1) | 0
    connection.seqToTapHighest = connection.seqToTap
  }

  startRetransmitTimer(connection: TcpConnection): void {
    connection.probingSince = -1
    connection.windowProbes = 0
    connection.retransmitAt = this.now + connection.rto
    this.arm(connection)
  }

  /** Has the host's socket send as the guest does: with its hop limit and traffic class. */
  mark(connection: TcpConnection, marks: number): void {
    markSocket(this.components.host, connection.socket, connection.tapSide.isV4, connection.marks, marks)
    connection.marks = marks
  }

  /**
   * Has everything sent again that waits for an answer of the guest, connection by connection as the flow table wakes them.
   */
  retryAll(): void {
    for (const connection of this.#connections) {
      if (connection === undefined || connection.retransmitAt < 0) continue
      withoutBackOff(connection)
      connection.retransmitAt = this.now
      connection.windowProbes = 0
      this.arm(connection)
    }
  }

  /** Whether what the host takes counts as acknowledged: by how near the correspondent is. */
  chooseAcknowledgement(connection: TcpConnection): void {
    const { components, information, options } = this
    if (components.host.tcpInformation(connection.socket, information) < 0) return
    connection.acknowledgesOnAccept = information.minimumRtt <= options.acknowledgeOnAcceptRtt
    connection.pollInterval = Math.round(information.minimumRtt / 4000)
  }

  /** Stays for a while longer: the guest hasn't heard yet that all is done. */
  linger(connection: TcpConnection): void {
    if (connection.lingerUntil < 0) return
    connection.lingerUntil = this.now + LINGER
    this.arm(connection)
  }

  /**
   * Makes sure that the flow table wakes us in time. A deadline that moved further away is left where it is: waking once
   * too early costs less than moving it with each segment.
   */
  arm(connection: TcpConnection): void {
    let deadline = keepAliveAt(connection)
    if (connection.retransmitAt >= 0 && connection.retransmitAt < deadline) deadline = connection.retransmitAt
    if (connection.lingerUntil >= 0 && connection.lingerUntil < deadline) deadline = connection.lingerUntil
    // Never at this very moment: what is due now is being worked on.
    if (deadline <= this.now) deadline = this.now + 1
    if (connection.scheduledAt >= 0 && connection.scheduledAt <= deadline) return
    connection.scheduledAt = deadline
    this.components.flows.schedule(connection.flow, deadline)
  }

  /** Asks for a tick at the time, or before. */
  wake(at: number): void {
    if (at >= this.#wakeAt) return
    this.#wakeAt = at
    this.components.wakeAt(at)
  }

  /** The tick has come. */
  woken(): void {
    this.#wakeAt = Number.POSITIVE_INFINITY
  }

  /** True if something that we sent, or have to send, is waiting for the guest. */
  isOutstanding(connection: TcpConnection): boolean {
    return connection.ackFromTap !== connection.seqToTapHighest || awaitsFinAcknowledgement(connection.state)
  }

  /** Lets go of all payload that is kept for a connection. */
  #clear(connection: TcpConnection): void {
    this.pool.clear(connection)
    if (connection.islands === undefined) return
    for (const island of connection.islands) this.pool.clear(island)
    connection.islands = undefined
  }

  #closeSocket(connection: TcpConnection): void {
    const { host } = this.components
    // Unread payload at close would make the kernel send a reset.
    if (connection.undiscardedBytes > 0) host.discard(connection.socket, connection.undiscardedBytes)
    connection.undiscardedBytes = 0
    host.close(connection.socket)
    connection.socket = -1 as typeof connection.socket
    this.polls.clear(connection)
  }

  #release(connection: TcpConnection): void {
    if (connection.socket >= 0) this.#closeSocket(connection)
    this.#clear(connection)
    this.polls.clear(connection)
    this.components.flows.release(connection.flow)
    this.#connections[connection.flow] = undefined
    connection.flow = -1 as FlowIndex
    connection.state = State.closed
    connection.isAckPending = false
    this.#spare.push(connection)
  }

  #logTransition(connection: TcpConnection, before: string): void {
    const { flow, tapSide, state } = connection
    this.components.log.debug(`flow ${flow} (tcp) ${tapSide}: ${before} → ${stateName(state)}`)
  }
}

/** Our own code asked for a transition that the state machine doesn't have. */
export class IllegalTransitionError extends Error {
  readonly code = "ERR_TCP_ILLEGAL_TRANSITION"

  constructor(state: string, event: number) {
    super(`TCP event ${event} is not possible in state ${state}`)
    this.name = "IllegalTransitionError"
  }
}
