/**
 * From the host to the guest: payload that has arrived is sent within the guest's window, and stays in the kernel's
 * buffer until the guest has acknowledged it.
 *
 * Payload is read, without removing it (`peek`), to right behind the headers it is sent with, many segments in one
 * call. What the guest acknowledges is discarded. To retransmit a segment, it is read again. Nothing is kept here.
 *
 * What may be sent, and what has to be sent again, is decided in connection/sender.ts.
 *
 * Deliberately not done: selective acknowledgements, time stamps, delaying of short segments (the sender behind the
 * host's socket has decided that already).
 */
import { Errno, type GuestError, type Vectors } from "@demiflow/core"
import { WaitingList } from "@demiflow/protocol-kit"
import { FromHost, HostEvent, isReadable } from "../connection/host-side.ts"
import { TcpFlag } from "../connection/segment.ts"
import { distance } from "../connection/sequence-number.ts"
import { awaitsFinAcknowledgement, Event, isHandshaking, State, sendsToGuest } from "../connection/state.ts"
import { MAXIMUM_VECTORS, type TcpContext } from "./context.ts"
import { mssIn, Quoted, quotedIn } from "./path-mtu.ts"
import type { TcpConnection } from "./tcp-connection.ts"
import type { ToHost } from "./to-host.ts"
import { TCP_HEADER_LENGTH } from "./wire.ts"

/** Maximum payload of one frame, where the link splits it: 64 KiB less headers with room for options. */
const MOST_FRAME_PAYLOAD = 65_535 - 40 - 60
/** Bytes of one connection in one turn, so that no flow starves the others. */
const TURN_BUDGET = 2 << 20
/** A frame with fewer bytes than this counts as this many: the cost of sending one. */
const FRAME_COST = 1024
/** Frames of at least this payload are large: a few of them carry what is worth a system call. */
const LARGE_FRAME = 16 << 10
/** Maximum bytes of one peek into large frames. The kernel finds the place in its queue anew for each peek. */
const PEEK_BYTES = 1 << 20
/** The same for small ones: the kernel's copy is still in the cache when headers are written and checksums computed. */
const SMALL_FRAMES_PEEK_BYTES = 128 << 10
/** Bytes after which the link is flushed, so that it can report congestion before too much is queued. */
const FLUSH_BYTES = 1 << 20
/** The same for small frames: the queue of the guest's device holds a number of frames, whatever their size. */
const SMALL_FRAMES_FLUSH_BYTES = 256 << 10
/** Consecutive time-outs without an answer of the guest after which the connection is over (Linux: tcp_retries2). */
const RETRY_LIMIT = 12
/** The same for our SYN with acknowledgement (Linux: tcp_synack_retries). */
const SYN_ACK_RETRY_LIMIT = 5
/** The same for our first SYN: after 1, 3, 7 and 15 seconds. After 31, the correspondent has waited enough. */
const SYN_RETRY_LIMIT = 4

export class ToGuest {
  readonly #context: TcpContext
  readonly #toHost: ToHost
  readonly #offsets = new Int32Array(MAXIMUM_VECTORS)
  /** Connections with more to send than there was time or room for. */
  readonly #waiting: WaitingList<TcpConnection>
  /** Bytes queued since the last flush. */
  #unflushed = 0
  /** When the guest was last known to be congested. */
  #congestedAt = Number.NEGATIVE_INFINITY

  constructor(context: TcpContext, toHost: ToHost) {
    this.#context = context
    this.#toHost = toHost
    const { guest } = context.components
    this.#waiting = new WaitingList({ guest, wakeAt: (at) => context.wake(at) }, (connection) => {
      if (connection.flow >= 0) this.pump(connection)
    })
  }

  /** Sends what has arrived, within window and budget. */
  pump(connection: TcpConnection): void {
    if (!this.#maySend(connection)) return
    const { guest } = this.#context.components
    const flushBytes = this.#frameSize(connection) >= LARGE_FRAME ? FLUSH_BYTES : SMALL_FRAMES_FLUSH_BYTES
    let budget = TURN_BUDGET
    while (budget > 0) {
      if (guest.isCongested) break
      const { room } = connection.sender
      if (room <= 0 || connection.sender.isSillyForSure(room)) {
        this.#waitForWindow(connection)
        return
      }
      const cost = this.#sendOnce(connection, room, budget)
      if (cost <= 0) return
      budget -= cost
      this.#unflushed += cost
      if (this.#unflushed >= flushBytes) {
        guest.flush()
        this.#unflushed = 0
      }
    }
    this.#pumpLater(connection)
  }

  /** Continues with connections that have more to send, each once, while the guest isn't congested. */
  tick(): void {
    this.#waiting.tick()
  }

  /** Continues after the guest was congested. */
  guestTakesMore(): void {
    this.#congestedAt = this.#context.now
    this.#waiting.resume()
  }

  /** Notes that the link is back: what was on its way to the guest is lost, so nothing waits there. */
  linkIsBack(): void {
    this.#congestedAt = Number.NEGATIVE_INFINITY
  }

  /** Ends a turn: the stack flushes the link now. */
  endTurn(): void {
    this.#unflushed = 0
  }

  /**
   * Handles an acknowledgement of everything before `acknowledgement`, which the caller has checked to be no later than
   * what was sent. `isPure` is true if the segment had no payload and left the window unchanged.
   */
  acknowledged(connection: TcpConnection, acknowledgement: number, isPure: boolean): void {
    const { sender } = connection
    const bytes = distance(sender.ackFromGuest, acknowledgement)
    // Payload of the guest usually acknowledges nothing new.
    if (bytes <= 0 && !isPure) return
    const endsFin = awaitsFinAcknowledgement(connection.state) && acknowledgement === sender.seqToGuestHighest
    const isLost = sender.acknowledged(acknowledgement, isPure, this.#context.now)
    if (bytes > 0) {
      connection.undiscardedBytes += endsFin ? bytes - 1 : bytes
      if (sender.retransmitAt >= 0) this.#context.arm(connection)
    }
    if (isLost) this.#sendFirst(connection)
    if (connection.flow < 0 || bytes <= 0) return
    if (endsFin) this.#context.apply(connection, Event.finAcknowledged)
    else if (sender.isBehind) this.pump(connection)
  }

  /** Finishes a sequence of the guest: discards what was acknowledged, and sends what there is room for now. */
  finish(connection: TcpConnection): void {
    this.#discard(connection)
    if (this.#wantsToSend(connection)) this.pump(connection)
  }

  /** Handles an expired retransmission time-out. */
  timedOut(connection: TcpConnection): void {
    if (isHandshaking(connection.state)) {
      this.#handshakeTimedOut(connection)
      return
    }
    if (this.#isHeldUp(connection)) return
    // A guest whose window is shut takes no retransmission: it is sent a window probe instead.
    const isShut = connection.sender.windowFromGuest === 0
    if (isShut || !this.#context.isOutstanding(connection)) {
      this.#probe(connection)
      return
    }
    // RFC 9293 3.8.3 MUST: a connection whose payload is sent again too often ends.
    if (connection.sender.retries >= RETRY_LIMIT) {
      this.#context.abort(connection, true)
      return
    }
    connection.sender.timedOut()
    this.pump(connection)
    if (connection.flow >= 0 && connection.sender.retransmitAt <= this.#context.now) {
      this.#context.startRetransmitTimer(connection)
    }
  }

  /**
   * Handles an error that the guest's side reports about a segment. A segment that was too big is retransmitted with
   * all behind it, in smaller ones: in the next turn, once, however many errors there are. The path is not congested,
   * so the congestion window stays. Returns false if the error can't be true, or is of no use.
   */
  reported(connection: TcpConnection, error: Readonly<GuestError>): boolean {
    if (error.mtu === 0) return false
    const quoted = quotedIn(this.#context.components.arena, connection, error)
    if (quoted === Quoted.unknown) return false
    const mss = mssIn(error.mtu, connection.tapSide.isV4)
    if (mss >= connection.sender.mssToGuest) return true
    connection.sender.mssToGuest = mss
    if (quoted === Quoted.again) return true
    connection.sender.narrow(this.#context.now)
    this.#context.arm(connection)
    this.#pumpLater(connection)
    return true
  }

  /** Sends a segment that the guest must answer: its sequence number is acknowledged already. */
  sendProbe(connection: TcpConnection): void {
    this.#toHost.prepareSegment(connection)
    this.#context.output.sendEmpty(connection, (connection.sender.ackFromGuest - 1) | 0, 0)
  }

  #handshakeTimedOut(connection: TcpConnection): void {
    const limit = connection.state === State.synSent ? SYN_RETRY_LIMIT : SYN_ACK_RETRY_LIMIT
    if (connection.sender.retries >= limit) {
      this.#context.abort(connection, true)
      return
    }
    connection.sender.synTimedOut()
    this.#context.sendSyn(connection)
    this.#context.startRetransmitTimer(connection)
  }

  /**
   * Postpones a time-out while the guest can't answer in time because segments to it wait for its link. Returns true if
   * the time-out was postponed.
   */
  #isHeldUp(connection: TcpConnection): boolean {
    const { components, now } = this.#context
    if (components.guest.isCongested) this.#congestedAt = now
    const deadline = this.#congestedAt + connection.sender.roundTrip.timeOut
    if (deadline <= now) return false
    connection.sender.retransmitAt = deadline
    this.#context.arm(connection)
    return true
  }

  #maySend({ socket, sender, state, fromHost }: TcpConnection): boolean {
    if (socket < 0) return false
    if (sendsToGuest(state)) return sender.isBehind || fromHost !== FromHost.ended
    return sender.isBehind && awaitsFinAcknowledgement(state)
  }

  /** True if there may be something to send: new, or again. */
  #wantsToSend({ sender, fromHost }: TcpConnection): boolean {
    return isReadable(fromHost) || sender.isBehind
  }

  /** Returns the maximum payload of a frame to the guest: several segments where the link splits them. */
  #frameSize({ sender }: TcpConnection): number {
    const { mssToGuest } = sender
    const isCut = this.#context.components.guest.capabilities.tcpSegmentation
    if (!isCut || mssToGuest * 2 > MOST_FRAME_PAYLOAD) return mssToGuest
    return MOST_FRAME_PAYLOAD - (MOST_FRAME_PAYLOAD % mssToGuest)
  }

  /** Peeks once, and sends the frames. Returns the cost in bytes; 0 if there is nothing to continue with. */
  #sendOnce(connection: TcpConnection, room: number, budget: number): number {
    const { components, output, vectors } = this.#context
    const { sender } = connection
    const frameSize = this.#frameSize(connection)
    const peekBytes = frameSize >= LARGE_FRAME ? PEEK_BYTES : SMALL_FRAMES_PEEK_BYTES
    const most = Math.min(Math.max(Math.floor(peekBytes / frameSize), 1), MAXIMUM_VECTORS)
    const affordable = Math.ceil(budget / Math.max(frameSize, FRAME_COST))
    const limit = Math.min(connection.peekFrames, most, affordable)
    const offsets = this.#offsets
    const hasRoomForAll = output.hasRoom(frameSize, limit)
    let frames = 0
    let asked = 0
    while (frames < limit && asked < room) {
      const size = Math.min(frameSize, room - asked)
      if (!hasRoomForAll && !output.hasRoom(size, 1)) break
      const offset = output.begin(connection, size)
      offsets[frames] = offset
      vectors.set(frames++, offset + TCP_HEADER_LENGTH, size)
      asked += size
    }
    if (frames === 0) {
      this.#pumpLater(connection)
      return 0
    }
    const skip = connection.undiscardedBytes + sender.inFlight
    const got = components.sockets.peek(connection.socket, vectors, 0, frames, skip)
    if (got === room && sender.isSilly(room)) {
      output.abandon(offsets[0])
      this.#waitForWindow(connection)
      return 0
    }
    const used = got > 0 ? this.#sendFrames(connection, vectors, frames, got) : 0
    if (used < frames) output.abandon(offsets[used])
    if (got > 0) {
      if (got === asked) {
        connection.readHost(HostEvent.full)
        connection.peekFrames = Math.min(connection.peekFrames * 2, most)
      } else {
        // That was everything. More brings another event.
        connection.readHost(HostEvent.short)
        connection.peekFrames = used
        if (!this.#wantsToSend(connection)) return 0
      }
      return Math.max(got, used * FRAME_COST)
    }
    if (got === 0) this.#sendFin(connection)
    else if (got === -Errno.EAGAIN) connection.readHost(HostEvent.empty)
    else this.#context.abort(connection, true)
    return 0
  }

  /** Ends the frames that hold `bytes` of payload. Returns how many these were. */
  #sendFrames(connection: TcpConnection, payload: Vectors, frames: number, bytes: number): number {
    const { output } = this.#context
    const { sender } = connection
    this.#toHost.prepareSegment(connection)
    let left = bytes
    let used = 0
    while (used < frames && left > 0) {
      const length = Math.min(left, payload.lengthAt(used))
      left -= length
      // RFC 9293 3.9.1.2 MUST: the last segment of what is there to be sent has the PSH flag.
      const flags = left === 0 ? TcpFlag.push : 0
      output.end(connection, this.#offsets[used++], sender.seqToGuest, flags, length)
      sender.seqToGuest = (sender.seqToGuest + length) | 0
    }
    if (sender.sent(this.#context.now)) this.#context.arm(connection)
    return used
  }

  #sendFin(connection: TcpConnection): void {
    const { sender } = connection
    connection.readHost(HostEvent.end)
    this.#toHost.prepareSegment(connection)
    if (!this.#context.output.sendEmpty(connection, sender.seqToGuest, TcpFlag.fin)) {
      this.#pumpLater(connection)
      return
    }
    connection.readHost(HostEvent.finSent)
    const isFirst = sendsToGuest(connection.state)
    sender.seqToGuest = (sender.seqToGuest + 1) | 0
    if (sender.sent(this.#context.now)) this.#context.arm(connection)
    if (isFirst) this.#context.apply(connection, Event.finToGuest)
  }

  /** Sends the first unacknowledged segment again. */
  #sendFirst(connection: TcpConnection): void {
    if (connection.socket < 0) return
    const { components, output, vectors } = this.#context
    const { sender } = connection
    const hasFin = awaitsFinAcknowledgement(connection.state)
    const payload = sender.unacknowledged - (hasFin ? 1 : 0)
    if (payload <= 0) {
      this.#toHost.prepareSegment(connection)
      if (hasFin) output.sendEmpty(connection, sender.ackFromGuest, TcpFlag.fin)
      return
    }
    const size = Math.min(payload, sender.mssToGuest)
    const offset = output.begin(connection, size)
    if (offset < 0) return
    vectors.set(0, offset + TCP_HEADER_LENGTH, size)
    const got = components.sockets.peek(connection.socket, vectors, 0, 1, connection.undiscardedBytes)
    if (got <= 0) {
      output.abandon(offset)
      if (got < 0 && got !== -Errno.EAGAIN) this.#context.abort(connection, true)
      return
    }
    this.#toHost.prepareSegment(connection)
    output.end(connection, offset, sender.ackFromGuest, TcpFlag.push, got)
  }

  /** Handles the time for a probe of the guest's window. */
  #probe(connection: TcpConnection): void {
    const { sender } = connection
    const { now } = this.#context
    if (this.#context.isOutstanding(connection)) sender.goBack()
    const wantsToSend = this.#wantsToSend(connection)
    if (!wantsToSend || sender.room > 0) {
      sender.retransmitAt = -1
      if (wantsToSend) this.pump(connection)
      return
    }
    if (sender.isProbedInVain(connection.lastFromGuest, now)) {
      this.#context.abort(connection, true)
      return
    }
    // RFC 9293 3.8.6.1 MUST: a shut window is probed.
    this.sendProbe(connection)
    sender.probed(now)
    this.#context.arm(connection)
  }

  #waitForWindow(connection: TcpConnection): void {
    connection.readHost(HostEvent.postponed)
    if (connection.sender.waitForWindow(this.#context.now)) this.#context.arm(connection)
  }

  #pumpLater(connection: TcpConnection): void {
    connection.readHost(HostEvent.postponed)
    this.#waiting.wait(connection, this.#context.now)
  }

  /**
   * Discards acknowledged payload from the socket. At once, however little it is: the kernel counts a buffer of 64 KiB
   * as full until its last byte is gone, and a few bytes left there can keep its window shut for good.
   */
  #discard(connection: TcpConnection): void {
    if (connection.undiscardedBytes === 0 || connection.socket < 0) return
    this.#context.components.sockets.discard(connection.socket, connection.undiscardedBytes)
    connection.undiscardedBytes = 0
  }
}
