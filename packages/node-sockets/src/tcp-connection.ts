/**
 * A TCP connection of the host, by a socket of `node:net`.
 *
 * While the connection is held, the socket is paused: then the runtime's own small buffer fills, then the system's, and
 * then the correspondent's window closes.
 *
 * The socket takes payload as long as it has less than the send buffer's size in hand. When it has taken the last byte
 * that fits, its `write` returns false, so a `drain` event follows.
 */
import { connect, type Socket as NodeSocket } from "node:net"
import { type Arena, type Demiflow, Errno, type Vectors } from "@demiflow/core"
import { copyVectors, type EventList, errnoOf, StreamSocket } from "@demiflow/sockets-kit"
import type { Lingering } from "./lingering.ts"
import { readAddress } from "./node-address.ts"
import { textOf, type Zones } from "./zones.ts"

const SEND_BUFFER = 256 << 10

export class TcpConnection extends StreamSocket {
  readonly #lingering: Lingering
  readonly #socket: NodeSocket

  private constructor(events: EventList, lingering: Lingering, socket: NodeSocket, isV4: boolean) {
    super(events, isV4)
    this.#lingering = lingering
    this.#socket = socket
  }

  /** Begins to connect. That the host can't give the forwarding end is an error of the connection. */
  static connect(events: EventList, lingering: Lingering, zones: Zones, demiflow: Demiflow): TcpConnection {
    const { forwardingAddress: own, correspondentAddress: correspondent } = demiflow
    const options = {
      host: textOf(correspondent, zones.of(correspondent, 0)),
      port: demiflow.correspondentPort,
      allowHalfOpen: true,
      noDelay: true,
      ...(own.isUnspecified ? {} : { localAddress: textOf(own, zones.ofOwn(own)) }),
      ...(demiflow.forwardingPort === 0 ? {} : { localPort: demiflow.forwardingPort }),
    }
    const connection = new TcpConnection(events, lingering, connect(options), demiflow.isV4)
    connection.#listen()
    return connection
  }

  /** A connection that was accepted, and is paused. */
  static accepted(events: EventList, lingering: Lingering, socket: NodeSocket, demiflow: Demiflow): TcpConnection {
    const connection = new TcpConnection(events, lingering, socket, demiflow.isV4)
    connection.connected()
    connection.#listen()
    socket.resume()
    return connection
  }

  /** Bytes: never below the runtime's own mark, which a full buffer has to reach for `drain` to follow. */
  override get sendBufferSize(): number {
    return Math.max(SEND_BUFFER, this.#socket.writableHighWaterMark)
  }

  override get unsent(): number {
    return this.#socket.writableLength
  }

  override keepAlive(idle: number): number {
    this.#socket.setKeepAlive(idle > 0, idle * 1000)
    return 0
  }

  override boundEnd(demiflow: Demiflow): number {
    if (!readAddress(this.#socket.localAddress, demiflow.forwardingAddress)) return -Errno.ENOTCONN
    demiflow.forwardingPort = this.#socket.localPort ?? 0
    return 0
  }

  protected override get room(): number {
    return this.sendBufferSize - this.#socket.writableLength
  }

  protected override take(arena: Arena, vectors: Vectors, first: number, length: number): void {
    // A copy: the runtime may keep it after this call.
    const bytes = Buffer.allocUnsafe(length)
    copyVectors(arena, vectors, first, length, bytes, 0)
    this.#socket.write(bytes)
  }

  protected override sendEnd(): void {
    this.#socket.end()
  }

  protected override hold(): void {
    this.#socket.pause()
  }

  protected override letGo(): void {
    this.#socket.resume()
  }

  protected override get hasUnreported(): boolean {
    return this.#socket.readableLength > 0
  }

  protected override abort(): void {
    this.#socket.resetAndDestroy()
  }

  protected override drop(): void {
    this.#socket.destroy()
  }

  protected override closeInOrder(): void {
    this.#lingering.add(this.#socket)
  }

  #listen(): void {
    const socket = this.#socket
    socket.on("connect", () => this.connected())
    socket.on("data", (bytes: Buffer) => this.arrived(bytes))
    socket.on("end", () => this.ended())
    socket.on("finish", () => this.finished())
    socket.on("drain", () => this.hasRoom())
    socket.on("error", (cause) => this.fail(errnoOf(cause, Errno.ECONNRESET)))
    socket.on("close", () => {
      if (!this.isOver) this.fail(Errno.ECONNRESET)
    })
  }
}
