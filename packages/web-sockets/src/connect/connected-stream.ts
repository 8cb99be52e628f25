/**
 * A TCP connection by a runtime's `connect()`. It is read one piece at a time, and only while the guest keeps up, so that
 * the streams close the correspondent's window.
 */
import { type Arena, type Demiflow, Errno, type Vectors } from "@demiflow/core"
import { copyVectors, type EventList, errnoOf, StreamSocket } from "@demiflow/sockets-kit"
import type { Lingering } from "../lingering.ts"
import { describeOwnEnd } from "../port-numbers.ts"
import type { Connect, ConnectedReader, ConnectedSocket, ConnectedWriter } from "./connected-socket.ts"

const SEND_BUFFER = 256 << 10

export class ConnectedStream extends StreamSocket {
  readonly #lingering: Lingering
  readonly #isV4Stream: boolean
  #socket: ConnectedSocket | undefined
  #reader: ConnectedReader | undefined
  #writer: ConnectedWriter | undefined
  /** Settled when our end has left. */
  #ending: Promise<unknown> | undefined
  #unsent = 0
  #isFull = false
  #isHeldBack = false
  #isReading = false

  constructor(events: EventList, lingering: Lingering, demiflow: Demiflow) {
    super(events, demiflow.isV4)
    this.#lingering = lingering
    this.#isV4Stream = demiflow.isV4
  }

  override get sendBufferSize(): number {
    return SEND_BUFFER
  }

  override get unsent(): number {
    return this.#unsent
  }

  override keepAlive(): number {
    return 0
  }

  override boundEnd(demiflow: Demiflow): number {
    return describeOwnEnd(demiflow, this.#isV4Stream, 0)
  }

  /** Begins to connect. */
  begin(connect: Connect, demiflow: Demiflow): void {
    const end = { hostname: demiflow.correspondentAddress.toString(), port: demiflow.correspondentPort }
    try {
      const socket = connect(end, { allowHalfOpen: true, secureTransport: "off" })
      this.#socket = socket
      this.#reader = socket.readable.getReader()
      this.#writer = socket.writable.getWriter()
      socket.opened.then(
        () => this.#opened(),
        (cause) => this.fail(errnoOf(cause, Errno.ECONNREFUSED)),
      )
      socket.closed.then(undefined, this.#broken)
    } catch (cause) {
      this.fail(errnoOf(cause, Errno.ENETUNREACH))
    }
  }

  protected override get room(): number {
    const room = SEND_BUFFER - this.#unsent
    if (room <= 0) this.#isFull = true
    return room
  }

  protected override take(arena: Arena, vectors: Vectors, first: number, length: number): void {
    const bytes = new Uint8Array(length)
    copyVectors(arena, vectors, first, length, bytes, 0)
    this.#unsent += length
    if (this.#unsent >= SEND_BUFFER) this.#isFull = true
    this.#writer?.write(bytes).then(() => this.#wrote(length), this.#broken)
  }

  protected override sendEnd(): void {
    this.#ending = this.#writer?.close()
    this.#ending?.then(() => this.finished(), this.#broken)
  }

  protected override hold(): void {
    this.#isHeldBack = true
  }

  protected override letGo(): void {
    this.#isHeldBack = false
    this.#read()
  }

  protected override get hasUnreported(): boolean {
    return false
  }

  protected override abort(): void {
    this.#lingering.remove(this)
    const reason = new Error("the connection was reset")
    // All of them may be rejected: the connection is gone.
    this.#writer?.abort(reason).catch(() => {})
    this.#reader?.cancel(reason).catch(() => {})
    this.drop()
  }

  protected override drop(): void {
    this.#socket?.close().catch(() => {})
  }

  protected override closeInOrder(): void {
    this.#lingering.add(this, () => this.abort())
    const end = () => {
      this.#lingering.remove(this)
      this.#reader?.cancel().catch(() => {})
      this.drop()
    }
    this.#ending ??= this.#writer?.close()
    this.#ending?.then(end, end)
  }

  #opened(): void {
    this.connected()
    this.#read()
  }

  #wrote(length: number): void {
    this.#unsent -= length
    this.#lingering.progressed(this)
    if (!this.#isFull || this.#unsent > SEND_BUFFER / 2) return
    this.#isFull = false
    this.hasRoom()
  }

  /** Reads the next piece, unless that is under way, or the guest is behind. */
  #read(): void {
    if (this.#isReading || this.#isHeldBack || this.isReadEnded || this.hasFailed || !this.isOpen) return
    this.#isReading = true
    this.#reader?.read().then(({ done, value }) => {
      this.#isReading = false
      if (done) this.ended()
      else if (!(value instanceof Uint8Array)) {
        this.#broken()
        this.abort()
      } else {
        if (value.length > 0) this.arrived(value)
        this.#read()
      }
    }, this.#broken)
  }

  readonly #broken = (cause?: unknown): void => {
    this.#lingering.remove(this)
    if (!this.isOver) this.fail(errnoOf(cause, Errno.ECONNRESET))
  }
}
