/**
 * A TCP socket of the simulated host, as Linux 6.18 was seen to behave: what each call answers in each state, and which
 * events hold (`tcp_poll`). Edge triggering follows from when the socket is put on the kernel's list: on arrival of
 * data or an end, on room after a short write, on the outcome of a connect, on an error.
 */
import { type Demiflow, Errno, HostEvent, type SideRef, type Socket, type TcpInformation } from "@demiflow/core"
import type { VirtualTimer } from "../virtual-clock.ts"
import { ByteQueue } from "./byte-queue.ts"
import type { Pipe, PipeReceiver, PipeSender } from "./pipe.ts"
import type { QueuedError } from "./queued-error.ts"
import type { SimulatedKernel } from "./simulated-kernel.ts"
import { SimulatedSocket } from "./simulated-socket.ts"

/** Sizes of a socket. */
export interface TcpSocketSizes {
  /** Payload bytes that the send buffer takes. */
  readonly sendBuffer: number
  /** Payload bytes that the receive buffer takes. */
  readonly receiveBuffer: number
  /** Round trip to the correspondent, milliseconds. */
  readonly rtt: number
}

/** Linux' `tcp_keepalive_time`, `tcp_keepalive_intvl` (milliseconds) and `tcp_keepalive_probes`. */
const KEEP_ALIVE_IDLE = 7_200_000
const KEEP_ALIVE_INTERVAL = 75_000
const KEEP_ALIVE_PROBES = 9
/** The most that `TCP_KEEPINTVL` (milliseconds) and `TCP_KEEPCNT` take. */
const LONGEST_KEEP_ALIVE_INTERVAL = 32_767_000
const MOST_KEEP_ALIVE_PROBES = 127

const ALL_ENDED = HostEvent.readable | HostEvent.writable | HostEvent.readEnd | HostEvent.hangUp

export class TcpSocket extends SimulatedSocket implements PipeReceiver, PipeSender {
  readonly sizes: TcpSocketSizes
  /** How often the world was asked whether it is still there. */
  questions = 0
  /** Traffic class of the SYN of a connection that was accepted. */
  synTrafficClass = 0
  /** Whether what routers report is queued. */
  queuesErrors = false
  #queuedError: QueuedError | undefined
  #state: "connecting" | "connected" | "closed" = "connecting"
  readonly #received = new ByteQueue()
  /** The correspondent has ended. */
  #isReadEnded = false
  /** Somebody waits for room in the send buffer (SOCK_NOSPACE). */
  #wantsRoom = false
  #outgoing: Pipe | undefined
  /** The world's way to us, which hears when there is room again. */
  #incoming: Pipe | undefined
  /** Window and so on of the other end. */
  #worldRoom: () => number = () => 0
  /** Where a reset goes that we send. */
  #resetWorld: () => void = () => {}
  /** The machine of the other end is there, and can be reached. */
  #isWorldThere = true
  #heardAt = 0
  #keepAliveIdle = KEEP_ALIVE_IDLE
  /** Asks by itself as seldom and as often as the kernel allows. */
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

  /** Nothing comes from the other end any more, and nobody says so. */
  vanish(): void {
    this.#isWorldThere = false
    this.#incoming?.cut()
    this.#outgoing?.stop()
    this.#askLater()
  }

  /** As core's `Host.keepAlive`. By default the world is asked only once it has vanished: before that it would answer. */
  keepAlive(idle: number): number {
    this.#keepAliveIdle = idle * 1_000 || KEEP_ALIVE_IDLE
    if (idle === 0) this.#isPatient = false
    this.#askLater()
    return 0
  }

  /** As core's `Host.askCorrespondent`. */
  askCorrespondent(): number {
    this.#keepAliveIdle = 1_000
    this.#isPatient = true
    this.#askLater()
    return 0
  }

  /** The connection fails, or ends, with a positive error number. */
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

  /** True once it failed, or was reset by either end. */
  get isOver(): boolean {
    return this.#state === "closed"
  }

  /** Nothing is reported of a connection attempt before its outcome. */
  override get mayTellForNoReason(): boolean {
    return this.#state !== "connecting"
  }

  override readiness(): number {
    const error = this.pendingError === 0 ? 0 : HostEvent.error
    if (this.#state === "closed") return ALL_ENDED | error
    if (this.#state === "connecting" || this.#outgoing === undefined) return error
    let events = error
    if (this.#received.length > 0) events |= HostEvent.readable
    if (this.#isReadEnded) events |= HostEvent.readable | HostEvent.readEnd
    if (this.#outgoing.isEnding) {
      events |= HostEvent.writable
      if (this.#isReadEnded) events |= HostEvent.hangUp
    } else if (this.#isWriteable()) events |= HostEvent.writable
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
      // Short for a reason that passes by itself, such as memory pressure: the event must come nevertheless.
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
      // Nobody is there to read it (RFC 9293, section 3.6.1).
      this.reset()
      return
    }
    this.#heard()
    this.#received.push(bytes)
    this.kernel.list(this)
  }

  arriveEnd(): void {
    this.#heard()
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

  /** What reading answers when there is nothing (left) to read. */
  #emptyRead(): number {
    if (this.#isReadEnded) return 0
    if (this.pendingError !== 0) return this.takeError()
    return this.#state === "closed" ? 0 : -Errno.EAGAIN
  }
}
