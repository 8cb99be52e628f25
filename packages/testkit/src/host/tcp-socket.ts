/**
 * A TCP socket of the simulated host, with the observed behaviour of Linux 6.18: the result of each call in each state,
 * and the events (`tcp_poll`). Edge triggering follows from when the socket is put on the kernel's list: on arrival of
 * data or an end, on room after a short write, on the outcome of a connect, on an error.
 */
import { type Demiflow, Errno, type SideRef, type Socket, SocketEvent, type TcpInformation } from "@demiflow/core"
import type { VirtualTimer } from "../virtual-clock.ts"
import { ByteQueue } from "./byte-queue.ts"
import type { Pipe, PipeReceiver, PipeSender } from "./pipe.ts"
import type { QueuedError } from "./queued-error.ts"
import type { SimulatedKernel } from "./simulated-kernel.ts"
import { SimulatedSocket } from "./simulated-socket.ts"

/** Sizes of a socket. */
export interface TcpSocketSizes {
  /** Capacity of the send buffer, payload bytes. */
  readonly sendBuffer: number
  /** Capacity of the receive buffer, payload bytes. */
  readonly receiveBuffer: number
  /** Round trip to the correspondent, milliseconds. */
  readonly rtt: number
}

/** Linux' `tcp_keepalive_time`, `tcp_keepalive_intvl` (milliseconds) and `tcp_keepalive_probes`. */
const KEEP_ALIVE_IDLE = 7_200_000
const KEEP_ALIVE_INTERVAL = 75_000
const KEEP_ALIVE_PROBES = 9
/** The maxima of `TCP_KEEPINTVL` (milliseconds) and `TCP_KEEPCNT`. */
const LONGEST_KEEP_ALIVE_INTERVAL = 32_767_000
const MOST_KEEP_ALIVE_PROBES = 127

const ALL_ENDED = SocketEvent.readable | SocketEvent.writable | SocketEvent.readEnd | SocketEvent.hangUp

export class TcpSocket extends SimulatedSocket implements PipeReceiver, PipeSender {
  readonly sizes: TcpSocketSizes
  /** The number of keep-alive probes sent to the world. */
  questions = 0
  /** Traffic class of an accepted connection's SYN. */
  synTrafficClass = 0
  /** Whether reports of routers are queued. */
  queuesErrors = false
  #queuedError: QueuedError | undefined
  #state: "connecting" | "connected" | "closed" = "connecting"
  readonly #received = new ByteQueue()
  /** The correspondent has ended. */
  #isReadEnded = false
  /** A writer waits for room in the send buffer (SOCK_NOSPACE). */
  #wantsRoom = false
  #outgoing: Pipe | undefined
  /** The pipe from the world to us, which is notified when there is room again. */
  #incoming: Pipe | undefined
  /** Window and so on of the other end. */
  #worldRoom: () => number = () => 0
  /** The receiver of our resets. */
  #resetWorld: () => void = () => {}
  /** True while the other end's machine can be reached. */
  #isWorldThere = true
  #heardAt = 0
  /** Bytes that have arrived; an end counts as one. */
  #arrivedBytes = 0
  #keepAliveIdle = KEEP_ALIVE_IDLE
  /** True while keep-alive probes are set to the longest interval and the largest count that the kernel allows. */
  #isPatient = false
  #keepAliveProbes = 0
  #keepAliveTimer: VirtualTimer | undefined

  constructor(kernel: SimulatedKernel, descriptor: Socket, side: SideRef, demiflow: Demiflow, sizes: TcpSocketSizes) {
    super(kernel, descriptor, side, demiflow)
    this.sizes = sizes
  }

  /** The handshake is done. */
  establish(outgoing: Pipe, incoming: Pipe, worldRoom: () => number): void {
    this.#outgoing = outgoing
    this.#incoming = incoming
    this.#worldRoom = worldRoom
    this.#resetWorld = () => {
      outgoing.resetBySender()
      incoming.cut()
    }
    if (!this.isOpen) {
      this.#resetWorld()
      return
    }
    this.#state = "connected"
    this.#heard()
    this.kernel.list(this)
  }

  /** The other end vanishes: nothing arrives from it any more, and nothing is reported. */
  vanish(): void {
    this.#isWorldThere = false
    this.#incoming?.cut()
    this.#outgoing?.stop()
    this.#askLater()
  }

  /**
   * As core's `Sockets.keepAlive`. By default the world is only probed once it has vanished: before that it would
   * answer.
   */
  keepAlive(idle: number): number {
    this.#keepAliveIdle = idle * 1_000 || KEEP_ALIVE_IDLE
    if (idle === 0) this.#isPatient = false
    this.#askLater()
    return 0
  }

  /** As core's `Sockets.connectOutcome`. */
  connectOutcome(): number {
    if (this.pendingError !== 0) return this.takeError()
    if (this.#state === "connecting") return -Errno.EINPROGRESS
    return this.#state === "closed" ? -Errno.ECONNRESET : 0
  }

  /** As core's `Sockets.askCorrespondent`. */
  askCorrespondent(): number {
    this.#keepAliveIdle = 1_000
    this.#isPatient = true
    this.#askLater()
    return 0
  }

  /** Fails or ends the connection, with a positive error number. */
  fail(error: number): void {
    if (this.#state === "closed") return
    this.#state = "closed"
    this.pendingError = error
    this.#outgoing?.cut()
    this.#incoming?.cut()
    this.kernel.list(this)
  }

  /** A router has answered the SYN. */
  reported(entry: QueuedError): void {
    if (this.queuesErrors) this.#queuedError = entry
    this.fail(entry.errno)
  }

  /** Takes the oldest entry of the error queue. */
  override takeQueuedError(): QueuedError | undefined {
    const entry = this.#queuedError
    this.#queuedError = undefined
    return entry
  }

  /** True once the connection failed, or either end reset it. */
  get isOver(): boolean {
    return this.#state === "closed"
  }

  override readiness(): number {
    const error = this.pendingError === 0 ? 0 : SocketEvent.error
    if (this.#state === "closed") return ALL_ENDED | error
    if (this.#state === "connecting" || this.#outgoing === undefined) return error
    let events = error
    if (this.#received.length > 0) events |= SocketEvent.readable
    if (this.#isReadEnded) events |= SocketEvent.readable | SocketEvent.readEnd
    if (this.#outgoing.isEnding) {
      events |= SocketEvent.writable
      if (this.#isReadEnded) events |= SocketEvent.hangUp
    } else if (this.#isWriteable()) events |= SocketEvent.writable
    else this.#wantsRoom = true
    return events
  }

  send(bytes: Uint8Array): number {
    if (this.pendingError !== 0) return this.takeError()
    if (this.#state === "connecting") return -Errno.EAGAIN
    const outgoing = this.#outgoing
    if (this.#state === "closed" || outgoing === undefined || outgoing.isEnding) return -Errno.EPIPE
    const room = Math.max(0, this.sizes.sendBuffer - outgoing.unacknowledged)
    let length = Math.min(room, bytes.length)
    if (length > 0 && this.kernel.random.chance(this.kernel.faults.partialSend)) {
      length = this.kernel.random.below(length)
      // The write is short for a temporary reason, such as memory pressure: the event must come nevertheless.
      this.kernel.listLater(this, this.kernel.random.between(1, 5))
    } else if (length < bytes.length) this.#wantsRoom = true
    if (length === 0) return bytes.length === 0 ? 0 : -Errno.EAGAIN
    outgoing.write(bytes.slice(0, length))
    return length
  }

  peek(into: Uint8Array, skip: number): number {
    const waiting = this.#received.length - skip
    if (waiting > 0 && into.length > 0) return this.#received.copy(skip, into)
    return this.#emptyRead()
  }

  discard(length: number): number {
    if (this.#received.length === 0 && length > 0) return this.#emptyRead()
    const dropped = this.#received.drop(length)
    this.#incoming?.transmit()
    return dropped
  }

  /** Bytes not acknowledged; an end that is not acknowledged counts as one, as SIOCOUTQ counts it. */
  get unacknowledged(): number {
    if (this.#state !== "connected" || this.#outgoing === undefined) return 0
    return this.#outgoing.unacknowledged + (this.#outgoing.isEndUnacknowledged ? 1 : 0)
  }

  get unread(): number {
    return this.#received.length
  }

  information(into: TcpInformation): number {
    into.minimumRtt = this.sizes.rtt * 1_000
    into.rtt = this.sizes.rtt * 1_000
    // The kernel counts an end that is acknowledged as a byte.
    into.bytesAcknowledged = (this.#outgoing?.acknowledgedBytes ?? 0) + (this.#outgoing?.isEndAcknowledged ? 1 : 0)
    into.bytesReceived = this.#arrivedBytes
    into.sendWindow = this.#state === "connected" ? this.#worldRoom() : 0
    into.sendMss = this.demiflow.isV4 ? 1_460 : 1_440
    into.notSentBytes = this.#outgoing?.unsent ?? 0
    into.silence = this.kernel.clock.now - this.#heardAt
    return 0
  }

  shutdownWrite(): number {
    if (this.#state !== "connected" || this.#outgoing === undefined) return -Errno.ENOTCONN
    this.#outgoing.end()
    // The kernel reports when an end of ours completes the hang-up, not for an end alone.
    this.kernel.list(this)
    return 0
  }

  reset(): void {
    if (this.#state === "connected") this.#resetWorld()
    this.#state = "closed"
  }

  override closed(): void {
    if (this.#state !== "connected") {
      this.#state = "closed"
      return
    }
    // RFC 2525, section 2.17: closing with data unread shows as a reset.
    if (this.#received.length > 0) this.reset()
    else {
      this.#outgoing?.end()
      if (this.#isReadEnded) this.#state = "closed"
    }
  }

  get room(): number {
    return this.sizes.receiveBuffer - this.#received.length
  }

  arrive(bytes: Uint8Array): void {
    if (!this.isOpen) {
      // No reader is left for the data (RFC 9293, section 3.6.1).
      this.reset()
      return
    }
    this.#heard()
    this.#received.push(bytes)
    this.#arrivedBytes += bytes.length
    this.kernel.list(this)
  }

  arriveEnd(): void {
    this.#heard()
    this.#arrivedBytes++
    this.#isReadEnded = true
    this.kernel.list(this)
  }

  arriveReset(): void {
    this.fail(this.#isReadEnded ? Errno.EPIPE : Errno.ECONNRESET)
  }

  acknowledged(): void {
    this.#heard()
    if (!this.#wantsRoom || !this.#isWriteable()) return
    this.#wantsRoom = false
    this.kernel.list(this)
  }

  /** As `sk_stream_is_writeable`: a third of the buffer must be free for the event, not for the call. */
  #isWriteable(): boolean {
    const used = this.#outgoing?.unacknowledged ?? 0
    return this.sizes.sendBuffer - used >= used / 2
  }

  #heard(): void {
    this.#heardAt = this.kernel.clock.now
    this.#keepAliveProbes = 0
  }

  #askLater(): void {
    this.#keepAliveTimer?.cancel()
    this.#keepAliveTimer = undefined
    if (this.#isWorldThere && this.#keepAliveIdle === KEEP_ALIVE_IDLE) return
    this.#askIn(this.#heardAt + this.#keepAliveIdle - this.kernel.clock.now)
  }

  #askIn(delay: number): void {
    this.#keepAliveTimer = this.kernel.clock.schedule(delay, () => this.#ask())
  }

  #ask(): void {
    if (this.#state !== "connected" || !this.isOpen) return
    const waiting = this.#heardAt + this.#keepAliveIdle - this.kernel.clock.now
    if (waiting > 0 && this.#keepAliveProbes === 0) this.#askIn(waiting)
    else if (this.#keepAliveProbes === (this.#isPatient ? MOST_KEEP_ALIVE_PROBES : KEEP_ALIVE_PROBES))
      this.fail(Errno.ETIMEDOUT)
    else {
      this.#keepAliveProbes++
      this.questions++
      this.kernel.clock.schedule(this.sizes.rtt, () => {
        if (!this.#isWorldThere) return
        this.#heard()
        this.#askLater()
      })
      this.#askIn(this.#isPatient ? LONGEST_KEEP_ALIVE_INTERVAL : KEEP_ALIVE_INTERVAL)
    }
  }

  /** The result of reading when there is nothing (left) to read. */
  #emptyRead(): number {
    if (this.#isReadEnded) return 0
    if (this.pendingError !== 0) return this.takeError()
    return this.#state === "closed" ? 0 : -Errno.EAGAIN
  }
}
