/**
 * A TCP connection of the host, by a socket of `node:net`.
 *
 * From the correspondent: what arrives is copied into a buffer, where it can be peeked until it is discarded. Once the
 * buffer is full the socket is paused; then the runtime's own small buffer fills, then the system's, and then the
 * correspondent's window closes. The socket resumes when half of the buffer is free.
 *
 * To the correspondent: the socket takes payload as long as it has less than the send buffer's size in hand. When it
 * has taken the last byte that fits, its `write` returns false, so a `drain` event follows.
 *
 * Whatever ends the socket other than the ends of both directions is an error of the connection, reported once. From
 * then on nothing can be read, so that no part of a broken stream is taken for a whole one.
 */
import { connect, type Socket as NodeSocket } from "node:net"
import { type Arena, type Demiflow, Errno, SocketEvent, type TcpInformation, type Vectors } from "@demiflow/core"
import { ByteRing } from "./byte-ring.ts"
import { type EventList, HostSocket } from "./host-socket.ts"
import type { Lingering } from "./lingering.ts"
import { readAddress } from "./node-address.ts"
import { errnoOf } from "./socket-errors.ts"

const RECEIVE_BUFFER = 512 << 10
const SEND_BUFFER = 256 << 10
/** Errors of a forwarding end that the host can't give. */
const PORT_REFUSED: ReadonlySet<number> = new Set([Errno.EADDRINUSE, Errno.EACCES, Errno.EADDRNOTAVAIL])
const MSS_V4 = 1460
const MSS_V6 = 1440

const { readable, writable, error, hangUp, readEnd } = SocketEvent

export class TcpConnection extends HostSocket {
  readonly #isV4: boolean
  readonly #lingering: Lingering
  #state: "connecting" | "connected" | "failed" = "connecting"
  #socket: NodeSocket
  readonly #received = new ByteRing()
  #isPaused = false
  #isReadEnded = false
  /** Our end was asked for, and has left. */
  #isShut = false
  #isFinished = false
  #takenBytes = 0

  private constructor(events: EventList, lingering: Lingering, socket: NodeSocket, isV4: boolean) {
    super(events)
    this.#lingering = lingering
    this.#socket = socket
    this.#isV4 = isV4
  }

  /** Begins to connect. */
  static connect(events: EventList, lingering: Lingering, demiflow: Demiflow): TcpConnection {
    const own = demiflow.forwardingAddress
    const options = {
      host: demiflow.correspondentAddress.toString(),
      port: demiflow.correspondentPort,
      allowHalfOpen: true,
      noDelay: true,
      ...(own.isUnspecified ? {} : { localAddress: own.toString() }),
    }
    const fromPort = demiflow.forwardingPort
    const begin = (localPort?: number) => connect(localPort === undefined ? options : { ...options, localPort })
    const connection = new TcpConnection(events, lingering, begin(fromPort || undefined), demiflow.isV4)
    // The port turns out to be taken only when it is too late to return that: any other serves as well.
    connection.#listen(fromPort === 0 ? undefined : () => begin())
    return connection
  }

  /** A connection that was accepted, and is paused. */
  static accepted(events: EventList, lingering: Lingering, socket: NodeSocket, demiflow: Demiflow): TcpConnection {
    const connection = new TcpConnection(events, lingering, socket, demiflow.isV4)
    connection.#state = "connected"
    connection.#listen(undefined)
    socket.resume()
    return connection
  }

  connectOutcome(): number {
    if (this.pendingError !== 0) return this.takeError()
    if (this.#state === "connecting") return -Errno.EINPROGRESS
    return this.#state === "failed" ? -Errno.ECONNRESET : 0
  }

  send(arena: Arena, vectors: Vectors, first: number, count: number): number {
    if (this.pendingError !== 0) return this.takeError()
    if (this.#state === "connecting") return -Errno.EAGAIN
    if (this.#state === "failed" || this.#isShut) return -Errno.EPIPE
    let length = 0
    for (let index = first; index < first + count; index++) length += vectors.lengthAt(index)
    if (length === 0) return 0
    const taken = Math.min(length, this.sendBufferSize - this.#socket.writableLength)
    if (taken <= 0) return -Errno.EAGAIN
    // A copy: the runtime may keep it after this call.
    const bytes = Buffer.allocUnsafe(taken)
    let copied = 0
    for (let index = first; copied < taken; index++) {
      const offset = vectors.offsetAt(index)
      const part = Math.min(vectors.lengthAt(index), taken - copied)
      bytes.set(arena.bytes.subarray(offset, offset + part), copied)
      copied += part
    }
    this.#socket.write(bytes)
    this.#takenBytes += taken
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
    if (this.#isPaused && this.#received.length <= RECEIVE_BUFFER / 2) {
      this.#isPaused = false
      this.#socket.resume()
    }
    return dropped
  }

  /** Bytes that the system has not taken; an end that is on its way counts as one. */
  get unacknowledged(): number {
    if (this.#state !== "connected") return 0
    return this.#socket.writableLength + (this.#isShut && !this.#isFinished ? 1 : 0)
  }

  get unread(): number {
    return this.#received.length
  }

  /** Bytes: never below the runtime's own mark, which a full buffer has to reach for `drain` to follow. */
  get sendBufferSize(): number {
    return Math.max(SEND_BUFFER, this.#socket.writableHighWaterMark)
  }

  information(into: TcpInformation): number {
    into.minimumRtt = 0
    into.rtt = 0
    into.bytesAcknowledged = this.#takenBytes - this.#socket.writableLength
    into.bytesReceived = this.#socket.bytesRead + (this.#isReadEnded ? 1 : 0)
    into.sendWindow = -1
    into.sendMss = this.#isV4 ? MSS_V4 : MSS_V6
    into.notSentBytes = this.#socket.writableLength
    into.silence = 0
    return 0
  }

  keepAlive(idle: number): number {
    this.#socket.setKeepAlive(idle > 0, idle * 1000)
    return 0
  }

  shutdownWrite(): number {
    if (this.#state !== "connected") return -Errno.ENOTCONN
    if (!this.#isShut) {
      this.#isShut = true
      this.#socket.end()
    }
    return 0
  }

  /** Closes by a reset. */
  reset(): void {
    this.isOpen = false
    this.#received.clear()
    if (this.#state === "connected") this.#socket.resetAndDestroy()
    else this.#socket.destroy()
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

  override boundEnd(demiflow: Demiflow): number {
    if (!readAddress(this.#socket.localAddress, demiflow.forwardingAddress)) return -Errno.ENOTCONN
    demiflow.forwardingPort = this.#socket.localPort ?? 0
    return 0
  }

  protected override shut(): void {
    const socket = this.#socket
    // RFC 2525 2.17 (close): data that nobody has read shows as a reset.
    const isUnread = this.#received.length > 0 || socket.readableLength > 0
    this.#received.clear()
    if (this.#state !== "connected") socket.destroy()
    else if (isUnread) socket.resetAndDestroy()
    else this.#lingering.add(socket)
  }

  /** @param again connects from any port, if the host refuses the one that was wanted */
  #listen(again: (() => NodeSocket) | undefined): void {
    const socket = this.#socket
    socket.on("connect", () => this.#connected())
    socket.on("data", (bytes: Buffer) => this.#arrived(bytes))
    socket.on("end", () => this.#ended())
    socket.on("finish", () => this.#finished())
    socket.on("drain", () => this.report(writable))
    socket.on("error", (cause) => {
      const errno = errnoOf(cause, Errno.ECONNRESET)
      if (again === undefined || this.#state !== "connecting" || !PORT_REFUSED.has(errno)) this.#fail(errno)
      else if (this.isOpen) {
        this.#socket = again()
        this.#listen(undefined)
      }
    })
    socket.on("close", () => {
      const isOrderly = this.#isReadEnded && this.#isFinished
      if (this.#socket === socket && !isOrderly) this.#fail(Errno.ECONNRESET)
    })
  }

  #connected(): void {
    this.#state = "connected"
    this.report(writable)
  }

  #arrived(bytes: Buffer): void {
    if (!this.isOpen) {
      // RFC 9293 3.6.1 (no reader): no reader is left for the data.
      this.#socket.resetAndDestroy()
      return
    }
    this.#received.push(bytes)
    if (this.#received.length >= RECEIVE_BUFFER) {
      this.#isPaused = true
      this.#socket.pause()
    }
    this.report(readable)
  }

  #ended(): void {
    this.#isReadEnded = true
    this.report(readable | readEnd | (this.#isFinished ? hangUp : 0))
  }

  #finished(): void {
    this.#isFinished = true
    if (this.#isReadEnded) this.report(readable | writable | readEnd | hangUp)
  }

  #fail(errno: number): void {
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
