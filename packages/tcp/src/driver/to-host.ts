/**
 * From the guest to the host: payload into the socket, acknowledgements and windows back.
 *
 * In-order payload is handed to the socket in one call for all segments of a sequence. What the socket doesn't take is
 * held (hold-pool.ts) and follows when the socket is writable. The window ends where the socket's room beyond the
 * accepted payload ends. While nothing is held, it is never smaller than a floor: so a full socket always ends in a
 * short write, and the kernel then reports when there is room again. While something is held, the window's edge stands
 * still.
 *
 * Acknowledgements. If the correspondent is near (see TcpOptions.acknowledgeOnAcceptRtt), we acknowledge what the
 * socket took or we hold. Otherwise we acknowledge what the correspondent acknowledged: while anything is
 * unacknowledged, the socket is polled at an interval of a part of the round-trip time, and less and less often while
 * the correspondent is silent. An acknowledgement of little payload is delayed for up to a millisecond, to travel with
 * payload.
 */
import { Errno, type Vectors } from "@demiflow/core"
import { HostEvent, isEnding, isStalled } from "../connection/host-side.ts"
import { ACKNOWLEDGEMENT_DELAY, Acknowledgement, PROMPT_BYTES } from "../connection/receiver.ts"
import { later } from "../connection/sequence-number.ts"
import { acceptsFromGuest, State, sendsToGuest } from "../connection/state.ts"
import { ConnectionList } from "./connection-list.ts"
import type { TcpContext } from "./context.ts"
import { isCorrespondentHeard, knowsCorrespondent } from "./correspondent.ts"
import type { TcpConnection } from "./tcp-connection.ts"

/** Connections that are polled in one turn: packets wait meanwhile. */
const POLLS_IN_TURN = 256
const FLOOR_PLENTY = 256 << 10
const FLOOR_MODEST = 64 << 10
const FLOOR_TIGHT = 16 << 10
export class ToHost {
  readonly #context: TcpContext
  #pending = new ConnectionList()
  #working = new ConnectionList()
  /** True if the delay of acknowledgements is over. */
  #isDelayOver = false

  constructor(context: TcpContext) {
    this.#context = context
  }

  /**
   * Accepts `bytes` of in-order payload in the first `count` vectors. The caller has made sure that they are inside the
   * window.
   */
  accept(connection: TcpConnection, payload: Vectors, count: number, bytes: number): void {
    const { components, now } = this.#context
    let taken = 0
    if (connection.heldBytes === 0) {
      taken = components.sockets.send(connection.socket, payload, 0, count)
      if (taken <= 0) {
        if (!this.#isForNow(connection, taken)) return
        taken = 0
      }
    }
    if (taken < bytes) taken += this.#hold(connection, payload, count, taken)
    connection.receiver.accept(taken, now)
    // If the pool is exhausted, the guest has to send the rest again, and should find out at once.
    this.acknowledge(connection, taken < bytes)
  }

  /** Hands over held payload: the socket is writable. */
  flush(connection: TcpConnection): void {
    const { components, vectors, pool } = this.#context
    if (connection.heldBytes === 0) return
    while (connection.heldBytes > 0) {
      const count = pool.fill(connection, vectors)
      const taken = components.sockets.send(connection.socket, vectors, 0, count)
      if (taken <= 0) {
        this.#isForNow(connection, taken)
        return
      }
      pool.drop(connection, taken)
      // Once the guest is gone, this keeps the connection.
      if (connection.state === State.timeWait) connection.lastFromGuest = this.#context.now
    }
    if (acceptsFromGuest(connection.state)) {
      // The guest may wait for this and send nothing that we would answer.
      const isUrgent = connection.receiver.room < PROMPT_BYTES
      if (this.#moveEdge(connection)) this.acknowledge(connection, isUrgent)
    }
    this.#context.settleHost(connection)
  }

  /** Sends an acknowledgement at the end of the turn, or up to a millisecond later if it isn't urgent. */
  acknowledge(connection: TcpConnection, urgent: boolean): void {
    connection.receiver.request(urgent)
    if (connection.isAckListed) return
    connection.isAckListed = true
    this.#pending.push(connection)
  }

  /**
   * Handles a keep-alive probe of the guest (correspondent.ts). True if we answer now; else the answer follows later.
   */
  isAnswerDue(connection: TcpConnection): boolean {
    if (knowsCorrespondent(this.#context, connection)) return true
    connection.receiver.waitForCorrespondent(this.#context.now)
    this.#pollLater(connection)
    return false
  }

  /** Updates acknowledgement and window before a segment is sent. */
  prepareSegment(connection: TcpConnection): void {
    const { receiver } = connection
    const acknowledgeable = this.#acknowledgeable(connection)
    if (receiver.isUpdateDue(this.#limit(connection))) this.#moveEdge(connection)
    receiver.acknowledge(acknowledgeable, this.#context.now)
    if (receiver.isOpen) this.#pollLater(connection)
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

  /** Handles delays and polls that are due. */
  tick(): void {
    this.#isDelayOver = true
    this.#poll()
  }

  /**
   * Polls connections whose acknowledgements wait for the correspondent's. Continues in the next turn if there are
   * more.
   */
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
    const { receiver } = connection
    if (isStalled(connection.toHost)) {
      connection.writeHost(HostEvent.retried)
      this.flush(connection)
      if (connection.socket < 0) return
    }
    const isAnswered = connection.askedAt >= 0 && isCorrespondentHeard(this.#context, connection)
    const hasAdvanced = this.#acknowledgeable(connection) !== receiver.ackToGuest
    if (hasAdvanced || isAnswered) this.acknowledge(connection, true)
    if ((receiver.isOpen && !hasAdvanced) || connection.askedAt >= 0) this.#pollLater(connection)
  }

  #settle(connection: TcpConnection, isDelayOver: boolean): void {
    const { receiver } = connection
    if (receiver.due === Acknowledgement.none) return
    if (!isDelayOver && receiver.mayDelay(sendsToGuest(connection.state))) {
      this.acknowledge(connection, false)
      this.#context.wake(this.#context.now + ACKNOWLEDGEMENT_DELAY)
      return
    }
    const wasUrgent = receiver.due === Acknowledgement.now
    const { ackToGuest, advertisedEdge } = receiver
    this.prepareSegment(connection)
    const isNews = receiver.ackToGuest !== ackToGuest || receiver.advertisedEdge !== advertisedEdge
    if (isNews || wasUrgent) this.#context.output.sendEmpty(connection, connection.sender.seqToGuestHighest, 0)
  }

  #pollLater(connection: TcpConnection): void {
    const at = connection.receiver.pollAt(this.#context.now)
    this.#context.polls.set(connection, at)
    this.#context.wake(at)
  }

  /** True for an error of the host that is temporary. Any other one ends the connection. */
  #isForNow(connection: TcpConnection, result: number): boolean {
    if (result === -Errno.EAGAIN) return true
    // No event reports the end of these errors.
    if (result === 0 || result === -Errno.ENOBUFS || result === -Errno.ENOMEM) {
      connection.writeHost(HostEvent.stalled)
      this.#pollLater(connection)
      return true
    }
    this.#context.abort(connection, true)
    return false
  }

  /** Returns the sequence number up to which payload may be acknowledged now. */
  #acknowledgeable(connection: TcpConnection): number {
    const { receiver } = connection
    if (receiver.acknowledgesOnAccept || isEnding(connection.toHost) || connection.state < State.established) {
      return receiver.seqFromGuest
    }
    const open = this.#context.components.sockets.unacknowledged(connection.socket) + connection.heldBytes
    return later(receiver.ackToGuest, (receiver.seqFromGuest - open) | 0)
  }

  /** Moves the window's edge to the end of the host's room. Returns true if it moved. */
  #moveEdge(connection: TcpConnection): boolean {
    const { receiver } = connection
    receiver.updated()
    if (connection.heldBytes > 0 || connection.socket < 0) return false
    const { sockets } = this.#context.components
    const free = sockets.sendBufferSize(connection.socket) - sockets.unacknowledged(connection.socket)
    return receiver.moveEdge(Math.min(Math.max(free, this.#floor()), this.#limit(connection)))
  }

  /** Returns how many bytes may be in flight from the guest. */
  #limit(connection: TcpConnection): number {
    const { components, output, now } = this.#context
    const segmentSize = components.guest.capabilities.tcpSegmentation ? 0 : output.ownMss(connection.tapSide.isV4)
    return connection.receiver.limit(segmentSize, now)
  }

  #floor(): number {
    const { pool } = this.#context
    const size = this.#context.options.holdPoolSize
    if (pool.free > size >> 1) return FLOOR_PLENTY
    return pool.free > size >> 2 ? FLOOR_MODEST : FLOOR_TIGHT
  }

  /** Holds the bytes in the vectors behind the first `skip`. Returns how many there was room for. */
  #hold(connection: TcpConnection, payload: Vectors, count: number, skip: number): number {
    const { pool } = this.#context
    let before = skip
    let held = 0
    for (let index = 0; index < count; index++) {
      const length = payload.lengthAt(index)
      if (before >= length) {
        before -= length
        continue
      }
      const kept = pool.keep(connection, payload.offsetAt(index) + before, length - before)
      held += kept
      if (kept < length - before) break
      before = 0
    }
    return held
  }
}
