/**
 * The other end of a TCP connection of the simulated host, as a server in the world uses it.
 */
import { type Address, Errno } from "@demiflow/core"
import { type BytesLike, concatenate, toBytes, toText } from "../bytes.ts"
import { ByteQueue } from "./byte-queue.ts"
import type { Network } from "./network.ts"
import { Pipe, type PipeReceiver, type PipeSender } from "./pipe.ts"
import type { TcpSocket } from "./tcp-socket.ts"

/** Why the host did not accept a connection. */
export type WorldConnectionFailure = "refused" | "timedOut"

/**
 * The other end of a connection: a server, or a client that connected to the host. All calls take effect at
 * the host after the network's delay.
 */
export class WorldConnection {
  /** Address and port in the world, to or from which the connection was made. */
  readonly address: Address
  readonly port: number
  /** Address and port of the host. */
  readonly hostAddress: Address
  readonly hostPort: number
  /** Called when the host has accepted a connection that began here. */
  onConnected: (() => void) | undefined
  /** Called when the host does not accept a connection that began here. */
  onFailure: ((failure: WorldConnectionFailure) => void) | undefined
  /** Called with data as it is read. */
  onData: ((bytes: Uint8Array) => void) | undefined
  /** Called once the host has ended its direction and all its data was read. */
  onEnd: (() => void) | undefined
  /** Called when the host resets the connection. */
  onReset: (() => void) | undefined
  readonly #end: WorldEnd
  readonly #socket: TcpSocket

  constructor(end: WorldEnd, socket: TcpSocket) {
    this.#end = end
    this.#socket = socket
    this.address = socket.demiflow.correspondentAddress.clone()
    this.port = socket.demiflow.correspondentPort
    this.hostAddress = socket.demiflow.forwardingAddress.clone()
    this.hostPort = socket.demiflow.forwardingPort
    end.connection = this
  }

  /** True once the handshake is done: from the start, if the host began it. */
  get isConnected(): boolean {
    return this.#end.isConnected
  }

  /** Why the host did not accept the connection, if it didn't. */
  get failure(): WorldConnectionFailure | undefined {
    return this.#end.failure
  }

  /** Everything read so far. */
  get received(): Uint8Array {
    return this.#end.read
  }

  /** Number of bytes read so far. */
  get receivedLength(): number {
    return this.#end.readLength
  }

  /** Everything read so far, a character for each byte. */
  get receivedText(): string {
    return toText(this.received)
  }

  /** Bytes that have arrived and wait while reading is paused. */
  get unread(): number {
    return this.#end.waiting.length
  }

  /** Hop limit and traffic class, without ECN, with which the host sends. 0 is the host's default. */
  get hopLimit(): number {
    return this.#socket.marks.hopLimit
  }

  get trafficClass(): number {
    return this.#socket.marks.trafficClass
  }

  /** Bytes written that the host has not acknowledged. */
  get unacknowledged(): number {
    return this.#end.outgoing.unacknowledged
  }

  /** True once the host has ended its direction and all its data was read. */
  get isEnded(): boolean {
    return this.#end.isEndRead
  }

  /** True once either end has reset the connection. */
  get isReset(): boolean {
    return this.#end.isReset
  }

  /** True once both ends have ended and all data was delivered, or the connection was reset or never accepted. */
  get isOver(): boolean {
    return (
      this.#end.isReset || this.failure !== undefined || (this.#end.isEndRead && this.#end.outgoing.isEndAcknowledged)
    )
  }

  /** Sends bytes, or text of one-byte characters. They wait here until the host has answered, and has room. */
  write(content: BytesLike): void {
    if (!this.#end.isReset && this.failure === undefined) this.#end.outgoing.write(toBytes(content).slice())
  }

  /** Ends this direction; data already written is still delivered. */
  end(): void {
    this.#end.outgoing.end()
  }

  /** Resets the connection. */
  reset(): void {
    this.#end.reset()
  }

  /** This end's machine vanishes silently: nothing arrives or leaves any more, and the host gets no answer. */
  vanish(): void {
    this.#end.vanish()
  }

  /** The number of keep-alive probes that the host has sent to this end. */
  get questions(): number {
    return this.#end.socket.questions
  }

  /** Stops reading: the window that the host sees closes once `receiveBuffer` bytes wait. */
  pause(): void {
    this.#end.isPaused = true
  }

  /** Reads the waiting bytes, and resumes reading. */
  resume(): void {
    this.#end.isPaused = false
    this.take(Number.POSITIVE_INFINITY)
  }

  /** While paused, reads up to `length` waiting bytes. Returns their number. */
  take(length: number): number {
    return this.#end.take(length)
  }
}

/** The implementation of a {@link WorldConnection}. */
export class WorldEnd implements PipeReceiver, PipeSender {
  connection: WorldConnection | undefined
  readonly outgoing: Pipe
  readonly incoming: Pipe
  readonly waiting: ByteQueue = new ByteQueue()
  isPaused = false
  isReset = false
  isEndRead = false
  isConnected = true
  failure: WorldConnectionFailure | undefined
  readLength = 0
  #isEndArrived = false
  #pieces: Uint8Array[] = []
  readonly #receiveBuffer: number
  readonly socket: TcpSocket

  constructor(network: Network, delay: () => number, socket: TcpSocket, receiveBuffer: number) {
    this.socket = socket
    this.#receiveBuffer = receiveBuffer
    this.outgoing = new Pipe(network, socket, delay, this, socket)
    this.incoming = new Pipe(network, socket, delay, socket, this)
  }

  /** The connection begins here: nothing leaves before the host has answered. */
  begin(): void {
    this.isConnected = false
    this.outgoing.hold()
  }

  /** The host has answered. */
  establish(): void {
    if (this.isReset) return
    this.isConnected = true
    this.outgoing.release()
    this.connection?.onConnected?.()
  }

  /** The host refuses the connection. */
  fail(failure: WorldConnectionFailure): void {
    if (this.isReset) return
    this.failure = failure
    this.outgoing.cut()
    this.incoming.cut()
    this.connection?.onFailure?.(failure)
  }

  get room(): number {
    return Math.max(0, this.#receiveBuffer - this.waiting.length)
  }

  get read(): Uint8Array {
    if (this.#pieces.length > 1) this.#pieces = [concatenate(this.#pieces)]
    return this.#pieces[0] ?? new Uint8Array(0)
  }

  take(length: number): number {
    const bytes = this.waiting.slice(0, length)
    this.waiting.drop(bytes.length)
    if (bytes.length > 0) {
      this.#pieces.push(bytes)
      this.readLength += bytes.length
      this.connection?.onData?.(bytes)
      this.incoming.transmit()
    }
    if (this.waiting.length === 0 && this.#isEndArrived && !this.isEndRead) {
      this.isEndRead = true
      this.connection?.onEnd?.()
    }
    return bytes.length
  }

  vanish(): void {
    this.socket.vanish()
  }

  reset(): void {
    if (this.isReset) return
    this.isReset = true
    this.outgoing.resetBySender()
    this.incoming.cut()
  }

  arrive(bytes: Uint8Array): void {
    if (this.isReset) return
    this.waiting.push(bytes)
    if (!this.isPaused) this.take(Number.POSITIVE_INFINITY)
  }

  arriveEnd(): void {
    this.#isEndArrived = true
    if (!this.isPaused) this.take(Number.POSITIVE_INFINITY)
  }

  arriveReset(): void {
    if (this.isReset) return
    this.isReset = true
    this.outgoing.cut()
    this.connection?.onReset?.()
  }

  acknowledged(): void {}
}

/** How a connection attempt ends. */
export type ConnectOutcome =
  | "accept"
  /** A reset answers: ECONNREFUSED. */
  | "refuse"
  /** A router answers that the host can't be reached: EHOSTUNREACH. */
  | "unreachable"
  /** No answer: ETIMEDOUT in the end. */
  | "silent"
  /** The host itself has no route: the call fails at once with ENETUNREACH. */
  | "noRoute"

/** The error numbers of the outcomes. */
export const outcomeErrors: Readonly<Record<Exclude<ConnectOutcome, "accept">, number>> = {
  refuse: Errno.ECONNREFUSED,
  unreachable: Errno.EHOSTUNREACH,
  silent: Errno.ETIMEDOUT,
  noRoute: Errno.ENETUNREACH,
}
