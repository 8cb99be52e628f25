/**
 * From the guest to the host: payload into the socket, acknowledgements and windows back.
 *
 * Payload that arrives in order is handed to the socket in one call for all segments of a sequence. What the socket
 * doesn't take is held (hold-pool.ts) and follows when it is writable. The window's edge is what the socket has
 * room for beyond what was accepted, and never less than a floor as long as nothing is held: so a full socket always ends
 * in a short write, and the kernel then reports when there is room again. While something is held the edge stands still.
 *
 * Acknowledgements. If the correspondent is near (see TcpOptions.acknowledgeOnAcceptRtt), what the socket took or we
 * hold is acknowledged. Otherwise what the correspondent acknowledged is: the socket is asked, while anything is open, at
 * an interval of a part of the round-trip time, and less and less often while the correspondent is silent. A small amount
 * waits up to a millisecond for payload to ride on.
 */
import { Errno } from "@demiflow/core"
import type { TcpConnection } from "./connection.ts"
import { ConnectionList } from "./connection-list.ts"
import type { TcpContext } from "./context.ts"
import { segmentsAtOnce } from "./guest-queue.ts"
import { isCorrespondentHeard, knowsCorrespondent } from "./keep-alive.ts"
import { distance, later } from "./sequence-number.ts"
import { acceptsFromTap, State, sendsToTap } from "./state.ts"

/** Accepted payload from which on an acknowledgement isn't delayed, bytes. */
const PROMPT_ACKNOWLEDGEMENT_BYTES = 8192
/** Milliseconds that an acknowledgement may wait. */
const ACKNOWLEDGEMENT_DELAY = 1
/** Milliseconds between questions for the correspondent's acknowledgements, at most, … */
const POLL_INTERVAL_LIMIT = 10
/** … but for one that has acknowledged nothing for a while: an eighth (as a shift) of that while, and at most so long. */
const POLL_SILENCE_SHIFT = 3
const POLL_SILENCE_LIMIT = 1000
/** Connections that are asked about in one turn: packets wait meanwhile. */
const POLLS_IN_TURN = 256
/** Window beyond what was accepted, at most: more than a 64-segment batch of 64 KiB. */
const WINDOW_LIMIT = 6 << 20
const FLOOR_PLENTY = 256 << 10
const FLOOR_MODEST = 64 << 10
const FLOOR_TIGHT = 16 << 10
/** Ask the host for its buffers after so much payload, or when the window is less than that. */
const WINDOW_UPDATE_BYTES = 64 << 10
const WINDOW_UPDATE_ROOM = 128 << 10

export class ToHost {
  readonly #context: TcpContext
  #pending = new ConnectionList()
  #working = new ConnectionList()
  /** Acknowledgements have waited long enough for payload to ride on. */
  #isDelayOver = false

  constructor(context: TcpContext) {
    this.#context = context
  }

  /**
   * Takes `bytes` of payload, in order, that were gathered in the first `count` vectors. The caller has made sure that they are
   * inside the window.
   */
  accept(connection: TcpConnection, count: number, bytes: number): void {
    const { components, gathered } = this.#context
    let taken = 0
    if (connection.heldBytes === 0) {
      taken = components.host.send(connection.socket, gathered, 0, count)
      if (taken <= 0) {
        if (!this.#isForNow(connection, taken)) return
        taken = 0
      }
    }
    if (taken < bytes) taken += this.#hold(connection, count, taken)
    if (connection.ackToTap === connection.seqFromTap) connection.openSince = this.#context.now
    connection.seqFromTap = (connection.seqFromTap + taken) | 0
    connection.bytesSinceWindowUpdate += taken
    // The pool is exhausted: the guest has to send the rest again, and should know at once.
    this.acknowledge(connection, taken < bytes)
  }

  /** The socket is writable: hands over what is held. */
  flush(connection: TcpConnection): void {
    const { components, vectors, pool } = this.#context
    if (connection.heldBytes === 0) return
    while (connection.heldBytes > 0) {
      const count = pool.fill(connection, vectors)
      const taken = components.host.send(connection.socket, vectors, 0, count)
      if (taken <= 0) {
        this.#isForNow(connection, taken)
        return
      }
      pool.drop(connection, taken)
      // Once the guest is gone, this is what keeps the connection.
      if (connection.state === State.timeWait) connection.lastFromTap = this.#context.now
    }
    if (acceptsFromTap(connection.state)) {
      const edge = connection.windowEdgeToTap
      this.#moveEdge(connection)
      // The guest may wait for this and send nothing that would be answered.
      const isUrgent = distance(connection.seqFromTap, edge) < PROMPT_ACKNOWLEDGEMENT_BYTES
      if (edge !== connection.windowEdgeToTap) this.acknowledge(connection, isUrgent)
    }
    this.#context.settleHost(connection)
  }

  /** Sends an acknowledgement at the end of the turn, or up to a millisecond later if it isn't urgent. */
  acknowledge(connection: TcpConnection, urgent: boolean): void {
    connection.isAckPending = true
    if (urgent) connection.isAckUrgent = true
    if (connection.isAckListed) return
    connection.isAckListed = true
    this.#pending.push(connection)
  }

  /** The guest asks after its correspondent (keep-alive.ts). True if it is to be answered now; else it is in time. */
  isAnswerDue(connection: TcpConnection): boolean {
    if (knowsCorrespondent(this.#context, connection)) return true
    connection.openSince = this.#context.now
    this.#pollLater(connection)
    return false
  }

  /** A segment with an acknowledgement is about to be sent: brings the numbers up to date. */
  prepareSegment(connection: TcpConnection): void {
    const acknowledgeable = this.#acknowledgeable(connection)
    if (connection.ackToTap !== acknowledgeable) {
      connection.ackToTap = acknowledgeable
      connection.openSince = this.#context.now
    }
    const room = distance(connection.seqFromTap, connection.windowEdgeToTap)
    if (connection.bytesSinceWindowUpdate >= WINDOW_UPDATE_BYTES || room < this.#littleRoom(connection)) {
      this.#moveEdge(connection)
    }
    const window = Math.max(distance(connection.ackToTap, connection.windowEdgeToTap), 0)
    connection.windowToTap = Math.min(window, 0xffff << connection.windowScaleToTap)
    if (acknowledgeable !== connection.seqFromTap) this.#pollLater(connection)
    connection.isAckPending = false
    connection.isAckUrgent = false
  }

  /** Sends the acknowledgements that can't wait. */
  endTurn(): void {
    const isDelayOver = this.#isDelayOver
    this.#isDelayOver = false
    if (this.#pending.count === 0) return
    const working = this.#pending
    this.#pending = this.#working
    this.#working = working
    for (let index = 0; index < working.count; index++) {
      const connection = working.at(index)
      connection.isAckListed = false
      this.#settle(connection, isDelayOver)
    }
    working.clear()
  }

  /** Something that was waited for is due. */
  tick(): void {
    this.#isDelayOver = true
    this.#poll()
  }

  /** Asks about connections whose acknowledgements wait for the correspondent's; in the next turn about more. */
  #poll(): void {
    const { now, polls } = this.#context
    for (let asked = 0; asked < POLLS_IN_TURN; asked++) {
      const due = polls.takeDue(now)
      if (due === undefined) {
        const next = polls.next()
        if (next < Number.POSITIVE_INFINITY) this.#context.wake(next)
        return
      }
      this.#ask(due)
    }
    this.#context.wake(now)
  }

  #ask(connection: TcpConnection): void {
    if (connection.isFlushDue) {
      connection.isFlushDue = false
      this.flush(connection)
      if (connection.socket < 0) return
    }
    const isAnswered = connection.askedAt >= 0 && isCorrespondentHeard(this.#context, connection)
    const hasAdvanced = this.#acknowledgeable(connection) !== connection.ackToTap
    if (hasAdvanced || isAnswered) this.acknowledge(connection, true)
    const isOpen = connection.ackToTap !== connection.seqFromTap
    if ((isOpen && !hasAdvanced) || connection.askedAt >= 0) this.#pollLater(connection)
  }

  #settle(connection: TcpConnection, isDelayOver: boolean): void {
    if (!connection.isAckPending) return
    const wasUrgent = connection.isAckUrgent
    const before = connection.ackToTap
    const open = distance(before, connection.seqFromTap)
    if (!isDelayOver && !wasUrgent && open < PROMPT_ACKNOWLEDGEMENT_BYTES && sendsToTap(connection.state)) {
      this.acknowledge(connection, false)
      this.#context.wake(this.#context.now + ACKNOWLEDGEMENT_DELAY)
      return
    }
    const edge = (before + connection.windowToTap) | 0
    this.prepareSegment(connection)
    const isNews = connection.ackToTap !== before || edge !== ((before + connection.windowToTap) | 0)
    if (isNews || wasUrgent) this.#context.output.sendEmpty(connection, connection.seqToTapHighest, 0)
  }

  #pollLater(connection: TcpConnection): void {
    const { now } = this.#context
    const interval = Math.min(Math.max(connection.pollInterval, 1), POLL_INTERVAL_LIMIT)
    const silence = Math.min((now - connection.openSince) >> POLL_SILENCE_SHIFT, POLL_SILENCE_LIMIT)
    const at = now + Math.max(interval, silence)
    this.#context.polls.set(connection, at)
    this.#context.wake(at)
  }

  /** True for an error of the host that passes. Any other one ends the connection. */
  #isForNow(connection: TcpConnection, result: number): boolean {
    if (result === -Errno.EAGAIN) return true
    // No event reports the end of these.
    if (result === 0 || result === -Errno.ENOBUFS || result === -Errno.ENOMEM) {
      connection.isFlushDue = true
      this.#pollLater(connection)
      return true
    }
    this.#context.abort(connection, true)
    return false
  }

  /** What may be acknowledged now. */
  #acknowledgeable(connection: TcpConnection): number {
    if (connection.acknowledgesOnAccept || connection.isHostShutPending || connection.state < State.established) {
      return connection.seqFromTap
    }
    const open = this.#context.components.host.unacknowledged(connection.socket) + connection.heldBytes
    return later(connection.ackToTap, (connection.seqFromTap - open) | 0)
  }

  /** Moves the window's edge to where the host has room. */
  #moveEdge(connection: TcpConnection): void {
    connection.bytesSinceWindowUpdate = 0
    if (connection.heldBytes > 0 || connection.socket < 0) return
    const { host } = this.#context.components
    const free = host.sendBufferSize(connection.socket) - host.unacknowledged(connection.socket)
    const room = Math.min(Math.max(free, this.#floor()), this.#limit(connection))
    connection.windowEdgeToTap = later(connection.windowEdgeToTap, (connection.seqFromTap + room) | 0)
  }

  /** With less of the window than this left, bytes, its edge is moved if that is possible. */
  #littleRoom(connection: TcpConnection): number {
    return Math.min(WINDOW_UPDATE_ROOM, this.#limit(connection) >> 1)
  }

  /** Bytes that may be on their way from the guest at once. */
  #limit(connection: TcpConnection): number {
    const { components, output, now } = this.#context
    if (components.guest.capabilities.tcpSegmentation || !connection.acknowledgesOnAccept) return WINDOW_LIMIT
    return Math.min(segmentsAtOnce(connection, now) * output.ownMss(connection.tapSide.isV4), WINDOW_LIMIT)
  }

  #floor(): number {
    const { pool } = this.#context
    const size = this.#context.options.holdPoolSize
    if (pool.free > size >> 1) return FLOOR_PLENTY
    return pool.free > size >> 2 ? FLOOR_MODEST : FLOOR_TIGHT
  }

  /** Keeps what stands in the vectors behind the first `skip` bytes; answers how much there was room for. */
  #hold(connection: TcpConnection, count: number, skip: number): number {
    const { gathered, pool } = this.#context
    let before = skip
    let held = 0
    for (let index = 0; index < count; index++) {
      const length = gathered.lengthAt(index)
      if (before >= length) {
        before -= length
        continue
      }
      const kept = pool.keep(connection, gathered.offsetAt(index) + before, length - before)
      held += kept
      if (kept < length - before) break
      before = 0
    }
    return held
  }
}
