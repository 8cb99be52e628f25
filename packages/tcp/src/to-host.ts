/**
 * From the guest to the host: payload into the socket, acknowledgements and windows back.
 *
 * Payload that arrives in order is handed to the socket in one call for all segments of a sequence. What the socket
 * doesn't take is held (hold-pool.ts) and follows when it is writable. The window's edge is what the socket has
 * room for beyond what was accepted, and never less than a floor as long as nothing is held: so a full socket always ends
 * in a short write, and the kernel then tells us when there is room again. While something is held the edge stands still.
 *
 * Acknowledgements. If the correspondent is near (see TcpOptions.acknowledgeOnAcceptRtt), what the socket took or we
 * hold is acknowledged. Otherwise what the correspondent acknowledged is: the socket is asked, while anything is open, at
 * an interval of a part of the round-trip time. A small amount waits up to a millisecond for payload to ride on.
 */
import { Errno } from "@demiflow/core"
import type { TcpConnection } from "./connection.ts"
import type { TcpContext } from "./context.ts"
import { distance, later } from "./sequence-number.ts"
import { acceptsFromTap, State, sendsToTap } from "./state.ts"

/** Accepted payload from which on an acknowledgement isn't delayed, bytes. */
const PROMPT_ACKNOWLEDGEMENT_BYTES = 8192
/** Milliseconds that an acknowledgement may wait. */
const ACKNOWLEDGEMENT_DELAY = 1
/** Milliseconds between questions for the correspondent's acknowledgements, at most. */
const POLL_INTERVAL_LIMIT = 10
/** Window beyond what was accepted, at most: more than a 64-segment batch of 64 KiB. */
const WINDOW_LIMIT = 6 << 20
const FLOOR_PLENTY = 256 << 10
const FLOOR_MODEST = 64 << 10
const FLOOR_TIGHT = 16 << 10
/** Ask the host for its buffers after so much payload. */
const WINDOW_UPDATE_BYTES = 64 << 10

export class ToHost {
  readonly #context: TcpContext
  #pending: TcpConnection[] = []
  #working: TcpConnection[] = []
  #polled: TcpConnection[] = []
  #polling: TcpConnection[] = []

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
      if (taken < 0) {
        if (taken !== -Errno.EAGAIN && taken !== -Errno.ENOBUFS) {
          this.#context.abort(connection, true)
          return
        }
        taken = 0
      }
    }
    if (taken < bytes) taken += this.#hold(connection, count, taken)
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
      if (taken < 0) {
        if (taken !== -Errno.EAGAIN && taken !== -Errno.ENOBUFS) this.#context.abort(connection, true)
        return
      }
      pool.drop(connection, taken)
    }
    if (acceptsFromTap(connection.state)) {
      const window = distance(connection.seqFromTap, connection.windowEdgeToTap)
      this.updateWindow(connection)
      if (window < PROMPT_ACKNOWLEDGEMENT_BYTES) this.acknowledge(connection, true)
    }
    this.#context.settleHost(connection)
  }

  /** Moves the window's edge to where the host has room. */
  updateWindow(connection: TcpConnection): void {
    connection.bytesSinceWindowUpdate = 0
    if (connection.heldBytes === 0 && connection.socket >= 0) {
      const { host } = this.#context.components
      const free = host.sendBufferSize(connection.socket) - host.unacknowledged(connection.socket)
      const room = Math.min(Math.max(free, this.#floor()), WINDOW_LIMIT)
      connection.windowEdgeToTap = later(connection.windowEdgeToTap, (connection.seqFromTap + room) | 0)
    }
    this.#setWindow(connection)
  }

  /** Sends an acknowledgement at the end of the turn, or up to a millisecond later if it isn't urgent. */
  acknowledge(connection: TcpConnection, urgent: boolean): void {
    if (urgent) connection.isAckUrgent = true
    if (connection.isAckPending) return
    connection.isAckPending = true
    this.#pending.push(connection)
  }

  /** A segment with an acknowledgement is about to be sent: brings the numbers up to date. */
  prepareSegment(connection: TcpConnection): void {
    connection.ackToTap = this.#acknowledgeable(connection)
    this.#setWindow(connection)
    connection.isAckPending = false
    connection.isAckUrgent = false
  }

  /** Sends the acknowledgements that can't wait. */
  endTurn(): void {
    if (this.#pending.length === 0) return
    const working = this.#pending
    this.#pending = this.#working
    this.#working = working
    for (let index = 0; index < working.length; index++) this.#settle(working[index])
    working.length = 0
  }

  /** The millisecond is over. */
  tick(): void {
    for (let index = 0; index < this.#pending.length; index++) this.#pending[index].isAckUrgent = true
    this.#poll()
  }

  /** Asks about connections whose acknowledgements wait for the correspondent's. */
  #poll(): void {
    if (this.#polled.length === 0) return
    const polling = this.#polled
    this.#polled = this.#polling
    this.#polling = polling
    for (let index = 0; index < polling.length; index++) {
      const connection = polling[index]
      if (!connection.isPolled) continue
      connection.isPolled = false
      if (connection.socket < 0) continue
      const advanced = this.#acknowledgeable(connection) !== connection.ackToTap
      if (advanced) this.acknowledge(connection, true)
      else if (connection.ackToTap !== connection.seqFromTap) this.#pollLater(connection)
    }
    polling.length = 0
  }

  #settle(connection: TcpConnection): void {
    if (!connection.isAckPending) return
    const open = distance(connection.ackToTap, connection.seqFromTap)
    if (!connection.isAckUrgent && open < PROMPT_ACKNOWLEDGEMENT_BYTES && sendsToTap(connection.state)) {
      this.#pending.push(connection)
      this.#context.wake(this.#context.now + ACKNOWLEDGEMENT_DELAY)
      return
    }
    const room = distance(connection.seqFromTap, connection.windowEdgeToTap)
    if (connection.bytesSinceWindowUpdate >= WINDOW_UPDATE_BYTES || room < FLOOR_PLENTY) this.updateWindow(connection)
    const wasUrgent = connection.isAckUrgent
    const before = connection.ackToTap
    const edge = (connection.ackToTap + connection.windowToTap) | 0
    this.prepareSegment(connection)
    if (connection.ackToTap !== connection.seqFromTap) this.#pollLater(connection)
    const changed = connection.ackToTap !== before || edge !== ((before + connection.windowToTap) | 0)
    if (changed || wasUrgent) this.#context.output.sendEmpty(connection, connection.seqToTapHighest, 0)
  }

  #pollLater(connection: TcpConnection): void {
    if (!connection.isPolled) {
      connection.isPolled = true
      this.#polled.push(connection)
    }
    const interval = Math.min(Math.max(connection.pollInterval, 1), POLL_INTERVAL_LIMIT)
    this.#context.wake(this.#context.now + interval)
  }

  /** What may be acknowledged now. */
  #acknowledgeable(connection: TcpConnection): number {
    if (connection.acknowledgesOnAccept || connection.isHostShutPending || connection.state < State.established) {
      return connection.seqFromTap
    }
    const open = this.#context.components.host.unacknowledged(connection.socket) + connection.heldBytes
    return later(connection.ackToTap, (connection.seqFromTap - open) | 0)
  }

  #setWindow(connection: TcpConnection): void {
    const limit = 0xffff << connection.windowScaleToTap
    connection.windowToTap = Math.min(Math.max(distance(connection.ackToTap, connection.windowEdgeToTap), 0), limit)
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
