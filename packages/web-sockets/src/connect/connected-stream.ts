/**
 * A TCP connection by a runtime's `connect()`. It is read one piece at a time, and only while the guest keeps up, so
 * that the streams close the correspondent's window. It is written one piece at a time too: what the guest sends
 * meanwhile, in however small pieces, waits in a buffer, and leaves in larger ones.
 */
import { type Arena, type Demiflow, Errno, type Vectors } from "@demiflow/core"
import { ByteRing, copyVectors, type EventList, errnoOf, pushVectors, StreamSocket } from "@demiflow/sockets-kit"
import type { Lingering } from "../lingering.ts"
import { describeOwnEnd } from "../port-numbers.ts"
import type { Connect, ConnectedReader, ConnectedSocket, ConnectedWriter } from "./connected-socket.ts"

const SEND_BUFFER = 256 << 10
/** Bytes of a piece that has waited. */
const LARGEST_WRITE = 64 << 10

export class ConnectedStream extends StreamSocket {
  readonly #lingering: Lingering
  readonly #isV4Stream: boolean
  #socket: ConnectedSocket | undefined
  #reader: ConnectedReader | undefined
  #writer: ConnectedWriter | undefined
  /** Settled when our end has left. */
  #ending: Promise<unknown> | undefined
  /** Bytes of the write that is under way. */
  #written = 0
  readonly #waiting = new ByteRing()
  #isClosing = false
  #isBroken = false
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
    return this.#written + this.#waiting.length
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
    const room = SEND_BUFFER - this.unsent
    if (room <= 0) this.#isFull = true
    return room
  }

  protected override take(arena: Arena, vectors: Vectors, first: number, length: number): void {
    if (this.#written > 0) pushVectors(arena, vectors, first, length, this.#waiting)
    else {
      const bytes = new Uint8Array(length)
      copyVectors(arena, vectors, first, length, bytes, 0)
      this.#write(bytes)
    }
    if (this.unsent >= SEND_BUFFER) this.#isFull = true
  }

  protected override sendEnd(): void {
    this.#endAfterAll()
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
    this.#isBroken = true
    this.#waiting.clear()
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
    this.#isClosing = true
    if (this.#ending === undefined) this.#endAfterAll()
    else this.#closeAfter(this.#ending)
  }

  #opened(): void {
    this.connected()
    this.#read()
  }

  #write(bytes: Uint8Array): void {
    this.#written = bytes.length
    this.#writer?.write(bytes).then(this.#wrote, this.#broken)
  }

  readonly #wrote = (): void => {
    this.#written = 0
    this.#lingering.progressed(this)
    const length = Math.min(this.#waiting.length, LARGEST_WRITE)
    if (length > 0) {
      const bytes = new Uint8Array(length)
      this.#waiting.copy(0, bytes, 0, length)
      this.#waiting.drop(length)
      this.#write(bytes)
    }
    if (this.isShut || this.#isClosing) this.#endAfterAll()
    if (!this.#isFull || this.unsent > SEND_BUFFER / 2) return
    this.#isFull = false
    this.hasRoom()
  }

  /** Ends our direction, unless that has been asked for, or something still waits. */
  #endAfterAll(): void {
    if (this.#ending !== undefined || this.#waiting.length > 0 || this.#isBroken) return
    const ending = this.#writer?.close()
    this.#ending = ending
    if (this.#isClosing) this.#closeAfter(ending)
    else ending?.then(() => this.finished(), this.#broken)
  }

  #closeAfter(ending: Promise<unknown> | undefined): void {
    const end = () => {
      this.#lingering.remove(this)
      this.#reader?.cancel().catch(() => {})
      this.drop()
    }
    ending?.then(end, end)
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
    this.#isBroken = true
    this.#waiting.clear()
    if (this.#isClosing) this.drop()
    if (!this.isOver) this.fail(errnoOf(cause, Errno.ECONNRESET))
  }
}
