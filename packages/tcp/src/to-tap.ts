/**
 * From the host to the guest: payload that has arrived is sent as far as the guest's window reaches, and stays in the
 * kernel's buffer until the guest has acknowledged it.
 *
 * Payload is read, without taking it away (`peek`), to right behind the headers it will be sent with, many segments in one
 * call; what the guest acknowledges is discarded. To send something again, it is simply read again. Nothing is kept here.
 *
 * What the guest didn't get is sent again as loss-recovery.ts says. A guest whose window is shut is asked for it, see
 * window-probes.ts.
 *
 * Deliberately not done: selective acknowledgements, time stamps, delaying of short segments (the sender behind the host's
 * socket has decided that already).
 */
import { Errno, type GuestError } from "@demiflow/core"
import { grow, halve } from "./congestion.ts"
import type { TcpConnection } from "./connection.ts"
import { MAXIMUM_VECTORS, type TcpContext } from "./context.ts"
import { goBack, LossRecovery } from "./loss-recovery.ts"
import { mssIn, Quoted, quotedIn } from "./path-mtu.ts"
import { Queue } from "./queue.ts"
import { backOff, measured } from "./round-trip.ts"
import { distance, later } from "./sequence-number.ts"
import { awaitsFinAcknowledgement, Event, isHandshaking, State, sendsToTap } from "./state.ts"
import type { ToHost } from "./to-host.ts"
import { WindowProbes } from "./window-probes.ts"
import { TCP_HEADER_LENGTH, TcpFlag } from "./wire.ts"

/** Payload of one frame at most, where the link cuts it: 64 KiB less headers with room for options. */
const LARGE_FRAME_PAYLOAD = 65_535 - 40 - 60
/** Bytes of one connection in one turn, so that no flow starves the others, … */
const TURN_BUDGET = 2 << 20
/** … and as how many a frame counts that has fewer: what it costs to send one. */
const FRAME_COST = 1024
/** Bytes that one peek brings at most: … */
const PEEK_BYTES = 1 << 20
/** … fewer where they are cut to segments here, for the kernel's copy and the checksums to meet them in the cache. */
const SEGMENTS_PEEK_BYTES = 128 << 10
/** Bytes handed to the link at once, so that it can say that it has enough before there is too much of it; … */
const FLUSH_BYTES = 1 << 20
/** … and the same where they are cut to segments here. */
const SEGMENTS_FLUSH_BYTES = 256 << 10
/** Time-outs in a row without an answer of the guest after which the connection is over (Linux: tcp_retries2). */
const RETRY_LIMIT = 12
/** The same for our SYN with the acknowledgement of the guest's (Linux: tcp_synack_retries). */
const SYN_ACK_RETRY_LIMIT = 5
/** The same for a SYN that asks the guest: after 1, 3, 7 and 15 seconds. After 31, the correspondent has waited enough. */
const SYN_RETRY_LIMIT = 4

export class ToTap {
  readonly #context: TcpContext
  readonly #toHost: ToHost
  readonly #recovery: LossRecovery
  readonly #probes: WindowProbes
  readonly #offsets = new Int32Array(MAXIMUM_VECTORS)
  /** Connections that have more to send than there was time or room for, the one first that has waited longest. */
  readonly #waiting = new Queue<TcpConnection>()
  readonly #flushBytes: number
  /** Bytes that were queued since the link was handed what is queued. */
  #unflushed = 0
  /** When the guest was last known to take no more. */
  #congestedAt = Number.NEGATIVE_INFINITY

  constructor(context: TcpContext, toHost: ToHost) {
    this.#context = context
    this.#toHost = toHost
    this.#recovery = new LossRecovery(context, toHost)
    this.#probes = new WindowProbes(context, toHost)
    const { tcpSegmentation } = context.components.guest.capabilities
    this.#flushBytes = tcpSegmentation ? FLUSH_BYTES : SEGMENTS_FLUSH_BYTES
  }

  /** Sends what has arrived, as far as window and budget allow. */
  pump(connection: TcpConnection): void {
    if (!this.#maySend(connection)) return
    const { guest } = this.#context.components
    let budget = TURN_BUDGET
    while (budget > 0) {
      if (guest.isCongested) break
      const room = this.#room(connection)
      if (room <= 0 || (this.#isSilly(connection, room) && connection.inFlight > 2 * connection.mssToTap)) {
        this.#probes.waitForWindow(connection)
        return
      }
      const cost = this.#sendOnce(connection, room, budget)
      if (cost <= 0) return
      budget -= cost
      this.#unflushed += cost
      if (this.#unflushed >= this.#flushBytes) {
        guest.flush()
        this.#unflushed = 0
      }
    }
    this.#pumpLater(connection)
  }

  /** Carries on with connections that have more to send, each once, as long as the guest takes it. */
  resume(): void {
    const { guest } = this.#context.components
    for (let left = this.#waiting.count; left > 0 && !guest.isCongested; left--) {
      const connection = this.#waiting.shift()
      if (connection === undefined) return
      connection.isPumpListed = false
      if (connection.flow >= 0) this.pump(connection)
    }
    if (this.#waiting.count > 0) this.#carryOnLater()
  }

  /** The guest was congested, and is not any more. */
  guestTakesMore(): void {
    this.#congestedAt = this.#context.now
    this.resume()
  }

  /** Nothing waits on the way to the guest: what was on it is lost. */
  linkIsBack(): void {
    this.#congestedAt = Number.NEGATIVE_INFINITY
  }

  /** What is queued is on its way to the link. */
  endTurn(): void {
    this.#unflushed = 0
  }

  /**
   * The guest acknowledged everything before `acknowledgement`, which the caller has checked to be no later than what was
   * sent. `isPure` says that the segment had no payload and left the window as it was.
   */
  acknowledged(connection: TcpConnection, acknowledgement: number, isPure: boolean): void {
    const bytes = distance(connection.ackFromTap, acknowledgement)
    if (bytes <= 0) {
      if (bytes === 0 && isPure && connection.seqToTapHighest !== acknowledgement) this.#recovery.duplicate(connection)
      return
    }
    const endsFin = awaitsFinAcknowledgement(connection.state) && acknowledgement === connection.seqToTapHighest
    connection.ackFromTap = acknowledgement
    if (distance(connection.seqToTap, acknowledgement) > 0) connection.seqToTap = acknowledgement
    connection.undiscardedBytes += endsFin ? bytes - 1 : bytes
    this.#measure(connection)
    grow(connection, bytes)
    connection.duplicateAcks = 0
    connection.retries = 0
    if (acknowledgement === connection.seqToTapHighest) connection.retransmitAt = -1
    else this.#context.startRetransmitTimer(connection)
    if (connection.isRecovering || connection.isResending) this.#recovery.acknowledged(connection, acknowledgement)
    if (connection.flow < 0) return
    if (endsFin) this.#context.apply(connection, Event.finAcknowledged)
    else if (connection.seqToTap !== connection.seqToTapHighest) this.pump(connection)
  }

  /** A sequence of the guest is over: lets the host have what was acknowledged, and sends what there is room for now. */
  finish(connection: TcpConnection): void {
    this.#discard(connection)
    if (connection.isHostReadable) this.pump(connection)
  }

  /** The retransmission time-out has passed. */
  timedOut(connection: TcpConnection): void {
    if (isHandshaking(connection.state)) {
      this.#handshakeTimedOut(connection)
      return
    }
    if (this.#isHeldUp(connection)) return
    // With its window shut, a guest takes nothing that is sent again: it is asked for its window instead.
    const isShut = connection.windowFromTap === 0
    if (isShut || !this.#context.isOutstanding(connection)) {
      this.#probe(connection)
      return
    }
    if (++connection.retries > RETRY_LIMIT) {
      this.#context.abort(connection, true)
      return
    }
    backOff(connection)
    halve(connection)
    connection.congestionWindow = connection.mssToTap
    goBack(connection)
    connection.isResending = true
    connection.recoverSeq = connection.seqToTapHighest
    this.pump(connection)
    if (connection.flow >= 0 && connection.retransmitAt <= this.#context.now) {
      this.#context.startRetransmitTimer(connection)
    }
  }

  /**
   * Somebody on the guest's side reports that a segment didn't arrive. One that was too big is sent again with all behind it, in
   * smaller ones: in the next turn, once, however many errors there are. The way is not congested, so no less may be in flight
   * than before. Answers false if the error can't be true, or is of no use.
   */
  reported(connection: TcpConnection, error: Readonly<GuestError>): boolean {
    if (error.mtu === 0) return false
    const quoted = quotedIn(this.#context.components.arena, connection, error)
    if (quoted === Quoted.unknown) return false
    const mss = mssIn(error.mtu, connection.tapSide.isV4)
    if (mss >= connection.mssToTap) return true
    connection.mssToTap = mss
    if (quoted === Quoted.again) return true
    goBack(connection)
    connection.isResending = true
    connection.recoverSeq = connection.seqToTapHighest
    this.#context.startRetransmitTimer(connection)
    this.#pumpLater(connection)
    return true
  }

  /** Asks the guest to answer. */
  sendProbe(connection: TcpConnection): void {
    this.#probes.send(connection)
  }

  #handshakeTimedOut(connection: TcpConnection): void {
    const limit = connection.state === State.synSent ? SYN_RETRY_LIMIT : SYN_ACK_RETRY_LIMIT
    if (++connection.retries > limit) {
      this.#context.abort(connection, true)
      return
    }
    backOff(connection)
    this.#context.sendSyn(connection)
    this.#context.startRetransmitTimer(connection)
  }

  /**
   * True if the guest had not the time of a time-out to answer, because what it was sent has to wait for its link: then it
   * gets that time now.
   */
  #isHeldUp(connection: TcpConnection): boolean {
    const { components, now } = this.#context
    if (components.guest.isCongested) this.#congestedAt = now
    const deadline = this.#congestedAt + connection.rto
    if (deadline <= now) return false
    connection.retransmitAt = deadline
    this.#context.arm(connection)
    return true
  }

  #maySend(connection: TcpConnection): boolean {
    if (connection.socket < 0) return false
    const isAgain = connection.seqToTap !== connection.seqToTapHighest
    if (sendsToTap(connection.state)) return isAgain || !connection.isHostEnded
    return isAgain && awaitsFinAcknowledgement(connection.state)
  }

  /** Bytes that may be sent now. */
  #room(connection: TcpConnection): number {
    const { windowFromTap, congestionWindow, inFlight } = connection
    return Math.min(windowFromTap, congestionWindow) - inFlight
  }

  /**
   * True for so little room that it is better to wait for more (RFC 9293, section 3.8.6.2.1), which what is in flight will
   * bring; unless all there is fits in, which peeking finds out. That is done where the guest might let its
   * acknowledgement wait, having received little.
   */
  #isSilly(connection: TcpConnection, room: number): boolean {
    const { inFlight, mssToTap, largestWindowFromTap } = connection
    return inFlight > 0 && room < mssToTap && room < largestWindowFromTap >> 1
  }

  /** One peek and the frames for what it brought; what that cost, 0 if there is nothing to go on with. */
  #sendOnce(connection: TcpConnection, room: number, budget: number): number {
    const { components, output, vectors } = this.#context
    const { mssToTap } = connection
    const isCut = components.guest.capabilities.tcpSegmentation
    const frameSize =
      isCut && mssToTap * 2 <= LARGE_FRAME_PAYLOAD ? LARGE_FRAME_PAYLOAD - (LARGE_FRAME_PAYLOAD % mssToTap) : mssToTap
    const peekBytes = frameSize > mssToTap ? PEEK_BYTES : SEGMENTS_PEEK_BYTES
    const most = Math.min(Math.max(Math.floor(peekBytes / frameSize), 1), MAXIMUM_VECTORS)
    const affordable = Math.ceil(budget / Math.max(frameSize, FRAME_COST))
    const limit = Math.min(connection.peekFrames, most, affordable)
    const offsets = this.#offsets
    let frames = 0
    let asked = 0
    while (frames < limit && asked < room) {
      const size = Math.min(frameSize, room - asked)
      const offset = output.begin(connection, size)
      if (offset < 0) break
      offsets[frames] = offset
      vectors.set(frames++, offset + TCP_HEADER_LENGTH, size)
      asked += size
    }
    if (frames === 0) {
      this.#pumpLater(connection)
      return 0
    }
    const skip = connection.undiscardedBytes + connection.inFlight
    const got = components.host.peek(connection.socket, vectors, 0, frames, skip)
    if (got === room && this.#isSilly(connection, room)) {
      output.abandon(offsets[0])
      this.#probes.waitForWindow(connection)
      return 0
    }
    const used = got > 0 ? this.#sendFrames(connection, frames, got) : 0
    if (used < frames) output.abandon(offsets[used])
    if (got > 0) {
      connection.isHostReadable = true
      if (got === asked) connection.peekFrames = Math.min(connection.peekFrames * 2, most)
      else {
        // All that there was. More brings another event; the end, or an urgent mark, has brought its event already.
        connection.peekFrames = used
        connection.isHostReadable = connection.isHostEnding || connection.isHostUrgent
        if (!connection.isHostReadable) return 0
      }
      return Math.max(got, used * FRAME_COST)
    }
    if (got === 0) this.#sendFin(connection)
    else if (got === -Errno.EAGAIN) connection.isHostReadable = connection.isHostUrgent
    else this.#context.abort(connection, true)
    return 0
  }

  /** Ends the frames that hold `bytes` of payload; answers how many these were. */
  #sendFrames(connection: TcpConnection, frames: number, bytes: number): number {
    const { output, vectors } = this.#context
    this.#toHost.prepareSegment(connection)
    let left = bytes
    let used = 0
    while (used < frames && left > 0) {
      const length = Math.min(left, vectors.lengthAt(used))
      left -= length
      const flags = left === 0 ? TcpFlag.push : 0
      output.end(connection, this.#offsets[used++], connection.seqToTap, flags, length)
      connection.seqToTap = (connection.seqToTap + length) | 0
    }
    this.#sent(connection)
    return used
  }

  #sendFin(connection: TcpConnection): void {
    connection.isHostEnded = true
    connection.isHostEnding = true
    connection.isHostReadable = false
    this.#toHost.prepareSegment(connection)
    if (!this.#context.output.sendEmpty(connection, connection.seqToTap, TcpFlag.fin)) {
      this.#pumpLater(connection)
      connection.isHostEnded = false
      return
    }
    const isFirst = sendsToTap(connection.state)
    connection.seqToTap = (connection.seqToTap + 1) | 0
    this.#sent(connection)
    if (isFirst) this.#context.apply(connection, Event.finToTap)
  }

  /** Bookkeeping after something was sent up to `seqToTap`. */
  #sent(connection: TcpConnection): void {
    const isNew = distance(connection.seqToTapHighest, connection.seqToTap) > 0
    connection.seqToTapHighest = later(connection.seqToTapHighest, connection.seqToTap)
    if (isNew && connection.timedSince < 0) {
      connection.timedSeq = connection.seqToTap
      connection.timedSince = this.#context.now
    }
    if (connection.retransmitAt < 0 || connection.probingSince >= 0) this.#context.startRetransmitTimer(connection)
  }

  /** Only what was sent once is timed (RFC 6298, section 3: Karn's algorithm). */
  #measure(connection: TcpConnection): void {
    if (connection.timedSince < 0 || distance(connection.timedSeq, connection.ackFromTap) < 0) return
    measured(connection, this.#context.now - connection.timedSince)
    connection.timedSince = -1
  }

  #probe(connection: TcpConnection): void {
    if (this.#context.isOutstanding(connection)) goBack(connection)
    if (!connection.isHostReadable || this.#room(connection) > 0) {
      connection.retransmitAt = -1
      if (connection.isHostReadable) this.pump(connection)
      return
    }
    this.#probes.repeat(connection)
  }

  #pumpLater(connection: TcpConnection): void {
    connection.isHostReadable = true
    this.#carryOnLater()
    if (connection.isPumpListed) return
    connection.isPumpListed = true
    this.#waiting.push(connection)
  }

  /** In the next turn; or, while the guest is congested, when `resume` reports that it takes more. */
  #carryOnLater(): void {
    if (!this.#context.components.guest.isCongested) this.#context.wake(this.#context.now)
  }

  /**
   * At once, however little it is: the kernel counts a buffer of 64 KiB as full until its last byte is gone, and a few
   * bytes left there can keep its window shut for good.
   */
  #discard(connection: TcpConnection): void {
    if (connection.undiscardedBytes === 0 || connection.socket < 0) return
    this.#context.components.host.discard(connection.socket, connection.undiscardedBytes)
    connection.undiscardedBytes = 0
  }
}
