/**
 * The base of TCP sockets, over anything that carries a stream of bytes.
 *
 * From the correspondent: what arrives is copied into a buffer, where it can be peeked until it is discarded. Once the
 * buffer is full the carrier is held; it goes on when half of the buffer is free.
 *
 * To the correspondent: the carrier says how much it takes, and takes a copy. It reports when there is room again.
 *
 * Whatever ends the carrier other than the ends of both directions is an error of the connection, reported once. From
 * then on nothing can be read, so that no part of a broken stream is taken for a whole one.
 */
import { type Arena, Errno, SocketEvent, type TcpInformation, type Vectors } from "@demiflow/core"
import { ByteRing } from "./byte-ring.ts"
import { lengthOfVectors } from "./copy-vectors.ts"
import { type EventList, HostSocket } from "./host-socket.ts"

/** Bytes of a connection that wait for the guest, at which its carrier is held. */
export const STREAM_RECEIVE_BUFFER: number = 512 << 10
const MSS_V4 = 1460
const MSS_V6 = 1440

const { readable, writable, error, hangUp, readEnd } = SocketEvent

export abstract class StreamSocket extends HostSocket {
  readonly #isV4: boolean
  #state: "connecting" | "connected" | "failed" = "connecting"
  readonly #received = new ByteRing()
  #isHeld = false
  #isReadEnded = false
  /** Our end was asked for. */
  #isShut = false
  /** It has left. */
  #isFinished = false
  #takenBytes = 0
  #arrivedBytes = 0

  constructor(events: EventList, isV4: boolean) {
    super(events)
    this.#isV4 = isV4
  }

  /** Bytes that the carrier keeps at most before it has sent them. */
  abstract get sendBufferSize(): number
  /** Bytes that the carrier has taken, and hasn't sent. */
  abstract get unsent(): number

  /** Bytes that {@link StreamSocket.take} takes now; 0 or less if none. `hasRoom` reports when that changes. */
  protected abstract get room(): number
  /** Takes the first `length` bytes that vectors name, by a copy. */
  protected abstract take(arena: Arena, vectors: Vectors, first: number, length: number): void
  /** Ends our direction after what was taken; `finished` reports that it has ended. */
  protected abstract sendEnd(): void
  /** Has nothing arrive for now, as far as the carrier can do that. */
  protected abstract hold(): void
  protected abstract letGo(): void
  /** True if bytes have arrived that `arrived` hasn't reported. */
  protected abstract get hasUnreported(): boolean
  /** Ends an open connection by a reset. */
  protected abstract abort(): void
  /** Gives up a connection that isn't open, or not any more. */
  protected abstract drop(): void
  /** Closes an open connection in order, when all that was taken has been sent. */
  protected abstract closeInOrder(): void
  /** See `Sockets.keepAlive` of core. */
  abstract keepAlive(idle: number): number

  connectOutcome(): number {
    if (this.pendingError !== 0) return this.takeError()
    if (this.#state === "connecting") return -Errno.EINPROGRESS
    return this.#state === "failed" ? -Errno.ECONNRESET : 0
  }

  send(arena: Arena, vectors: Vectors, first: number, count: number): number {
    if (this.pendingError !== 0) return this.takeError()
    if (this.#state === "connecting") return -Errno.EAGAIN
    if (this.#state === "failed" || this.#isShut) return -Errno.EPIPE
    const length = lengthOfVectors(vectors, first, count)
    if (length === 0) return 0
    const taken = Math.min(length, this.room)
    if (taken <= 0) return -Errno.EAGAIN
    this.#takenBytes += taken
    this.take(arena, vectors, first, taken)
    return taken
  }

  peek(arena: Arena, vectors: Vectors, first: number, count: number, skip: number): number {
    if (this.#received.length <= skip) return this.#emptyRead()
    let copied = 0
    for (let index = first; index < first + count; index++) {
      const length = vectors.lengthAt(index)
      const part = this.#received.copy(skip + copied, arena.bytes, vectors.offsetAt(index), length)
      copied += part
      if (part < length) break
    }
    return copied
  }

  discard(length: number): number {
    if (this.#received.length === 0 && length > 0) return this.#emptyRead()
    const dropped = this.#received.drop(length)
    this.discarded()
    if (this.#isHeld && this.#received.length <= STREAM_RECEIVE_BUFFER / 2) {
      this.#isHeld = false
      this.letGo()
    }
    return dropped
  }

  /** Bytes that the carrier has not sent; an end that is on its way counts as one. */
  get unacknowledged(): number {
    if (this.#state !== "connected") return 0
    return this.unsent + (this.#isShut && !this.#isFinished ? 1 : 0)
  }

  get unread(): number {
    return this.#received.length
  }

  /** Memory for the bytes that wait for the guest. */
  protected get heldBytes(): number {
    return this.#received.heldBytes
  }

  information(into: TcpInformation): number {
    const { unsent } = this
    into.minimumRtt = 0
    into.rtt = 0
    into.bytesAcknowledged = this.#takenBytes - unsent
    into.bytesReceived = this.#arrivedBytes + (this.#isReadEnded ? 1 : 0)
    into.sendWindow = -1
    into.sendMss = this.#isV4 ? MSS_V4 : MSS_V6
    into.notSentBytes = unsent
    into.silence = 0
    return 0
  }

  shutdownWrite(): number {
    if (this.#state !== "connected") return -Errno.ENOTCONN
    if (!this.#isShut) {
      this.#isShut = true
      this.sendEnd()
    }
    return 0
  }

  /** Closes by a reset. */
  reset(): void {
    this.isOpen = false
    this.#received.clear()
    if (this.#state === "connected") this.abort()
    else this.drop()
  }

  /** Reports what holds already. */
  watched(): void {
    let events = 0
    if (this.#state === "failed") events = error | readable | writable | hangUp | readEnd
    else if (this.#state === "connected") events = writable
    if (this.#received.length > 0 || this.#isReadEnded) events |= readable
    if (this.#isReadEnded) events |= readEnd
    if (events !== 0) this.report(events)
  }

  protected override shut(): void {
    // RFC 2525 2.17 (close): data that nobody has read shows as a reset.
    const isUnread = this.#received.length > 0 || this.hasUnreported
    this.#received.clear()
    if (this.#state !== "connected") this.drop()
    else if (isUnread) this.abort()
    else this.closeInOrder()
  }

  protected get isConnecting(): boolean {
    return this.#state === "connecting"
  }

  protected get hasFailed(): boolean {
    return this.#state === "failed"
  }

  /** True if our end was asked for. */
  protected get isShut(): boolean {
    return this.#isShut
  }

  protected get isReadEnded(): boolean {
    return this.#isReadEnded
  }

  /** True once both directions have ended in order. */
  protected get isOver(): boolean {
    return this.#isReadEnded && this.#isFinished
  }

  /** The connection is open. */
  protected connected(): void {
    if (this.#state !== "connecting") return
    this.#state = "connected"
    this.report(writable)
  }

  /** Bytes have arrived; they are copied. */
  protected arrived(bytes: Uint8Array): void {
    if (this.#state === "failed") return
    if (!this.isOpen) {
      // RFC 9293 3.6.1 (no reader): no reader is left for the data.
      this.abort()
      return
    }
    this.#received.push(bytes)
    this.#arrivedBytes += bytes.length
    if (this.#received.length >= STREAM_RECEIVE_BUFFER && !this.#isHeld) {
      this.#isHeld = true
      this.hold()
    }
    this.report(readable)
  }

  /** The correspondent has ended its direction. */
  protected ended(): void {
    this.#isReadEnded = true
    this.report(readable | readEnd | (this.#isFinished ? hangUp : 0))
  }

  /** Our end has left. */
  protected finished(): void {
    this.#isFinished = true
    if (this.#isReadEnded) this.report(readable | writable | readEnd | hangUp)
  }

  /** Nothing more can be sent, though our end was not asked for. */
  protected refuseMore(): void {
    this.#isShut = true
    this.#isFinished = true
    this.report(writable)
  }

  /** There is room for more. */
  protected hasRoom(): void {
    this.report(writable)
  }

  /** The guest has taken bytes. */
  protected discarded(): void {}

  /** The connection has broken, with a positive error number. */
  protected fail(errno: number): void {
    if (this.#state === "failed" || !this.isOpen) return
    this.#state = "failed"
    this.pendingError = errno
    this.#received.clear()
    this.report(error | readable | writable | readEnd | hangUp)
  }

  /** The result of reading when there is nothing to read. */
  #emptyRead(): number {
    if (this.pendingError !== 0) return this.takeError()
    if (this.#state === "failed") return -Errno.ECONNRESET
    return this.#isReadEnded ? 0 : -Errno.EAGAIN
  }
}
