/**
 * One TCP connection of the guest: RFC 9293's state machine around a {@link SendQueue} and a {@link ReceiveQueue}.
 *
 * It tests a stack, so it is strict about what it receives. Segments beyond its window, retransmissions with other
 * content, and acknowledgements of data that was never sent are recorded as violations.
 */
import { formatEndpoint } from "@demiflow/core"
import { type BytesLike, toBytes, toText } from "../bytes.ts"
import type { ParsedTcp } from "../packets/parse.ts"
import type { SeededRandom } from "../seeded-random.ts"
import type { VirtualClock, VirtualTimer } from "../virtual-clock.ts"
import type {
  ConnectionEnds,
  GuestConnectionFailure,
  GuestConnectionOptions,
  GuestConnectionState,
  OutgoingSegment,
} from "./connection-types.ts"
import { ReceiveQueue } from "./receive-queue.ts"
import { RetransmissionTimer } from "./retransmission-timer.ts"
import type { ReceivedFrame } from "./scripted-guest.ts"
import { SendQueue, type SendQueueOwner } from "./send-queue.ts"
import { advance, distance } from "./sequence-numbers.ts"

const EMPTY = new Uint8Array(0)
const LARGEST_PIECE = 65_000
const SYN_RETRIES = 8

/** The environment of a connection. */
export interface ConnectionSurroundings {
  readonly clock: VirtualClock
  readonly random: SeededRandom
  /** Bytes of the link's largest IP packet. */
  readonly mtu: number
  /** True if the link splits segments. */
  readonly cutsSegments: boolean
  send(connection: GuestConnection, segment: OutgoingSegment): void
  /** Called when the connection is gone. */
  forget(connection: GuestConnection): void
  violation(what: string): void
}

export class GuestConnection implements SendQueueOwner {
  readonly ends: ConnectionEnds
  /** Called when the handshake is done. */
  onConnected: (() => void) | undefined
  /** Called with data as it is read. */
  onData: ((bytes: Uint8Array) => void) | undefined
  /** Called once the other end has ended and all its data was read. */
  onEnd: (() => void) | undefined
  /** Called when the connection ends out of order. */
  onFailure: ((failure: GuestConnectionFailure) => void) | undefined
  readonly #options: GuestConnectionOptions
  readonly #surroundings: ConnectionSurroundings
  readonly #sender: SendQueue
  readonly #receiver: ReceiveQueue
  readonly #synTimer: RetransmissionTimer
  readonly #initial: number
  readonly #mss: number
  #state: GuestConnectionState
  #failure: GuestConnectionFailure | undefined
  /** Data written before the handshake was done. */
  #early: Uint8Array[] = []
  #isEnding = false
  #sendScale = 0
  #receiveScale = 0
  #isPaused = false
  #isEndRead = false
  #acknowledgementTimer: VirtualTimer | undefined
  #unanswered = 0
  #timeWaitTimer: VirtualTimer | undefined

  constructor(ends: ConnectionEnds, options: GuestConnectionOptions, surroundings: ConnectionSurroundings) {
    const { clock, random, mtu } = surroundings
    this.ends = ends
    this.#options = options
    this.#surroundings = surroundings
    this.#mss = options.mss ?? mtu - (ends.address.isV4 ? 40 : 60)
    this.#initial = (options.initialSequence ?? random.int32()) >>> 0
    this.#sender = new SendQueue(clock, random.fork(), this, this.#initial)
    this.#sender.isCutAtRandom = options.cutsAtRandom ?? false
    this.#receiver = new ReceiveQueue(options.receiveBuffer ?? 65_535, (what) => this.#violation(what))
    this.#synTimer = new RetransmissionTimer(clock, () => this.#repeatSyn())
    this.#state = "synSent"
  }

  get state(): GuestConnectionState {
    return this.#state
  }

  /** Why the connection ended out of order, if it did. */
  get failure(): GuestConnectionFailure | undefined {
    return this.#failure
  }

  /** Everything read so far. */
  get received(): Uint8Array {
    return this.#receiver.read
  }

  get receivedLength(): number {
    return this.#receiver.readLength
  }

  /** Everything read so far, a character for each byte. */
  get receivedText(): string {
    return toText(this.received)
  }

  /** Bytes in order that wait while reading is paused. */
  get unread(): number {
    return this.#receiver.unread
  }

  /** Bytes written that are not acknowledged. */
  get unacknowledged(): number {
    return this.#sender.pending + this.#early.reduce((sum, { length }) => sum + length, 0)
  }

  /** True once the other end has ended and all its data was read. */
  get isEnded(): boolean {
    return this.#isEndRead
  }

  /** True once nothing but late segments can arrive. */
  get isFinished(): boolean {
    return this.#state === "closed" || this.#state === "timeWait"
  }

  /** Sequence number behind everything that was ever sent: a successor from the same port begins beyond it. */
  get lastSequence(): number {
    return this.#sender.highest
  }

  /** Segments that were retransmitted. */
  get retransmissions(): number {
    return this.#sender.retransmissions
  }

  /** Sends bytes, or text of one-byte characters. Data that can't be sent yet waits. */
  write(content: BytesLike): void {
    const bytes = toBytes(content).slice()
    if (this.#state === "synSent" || this.#state === "synReceived") this.#early.push(bytes)
    else if (this.#state === "established" || this.#state === "closeWait") this.#sender.write(bytes)
  }

  /** Ends this direction; data already written is still delivered. */
  end(): void {
    if (this.#isEnding) return
    this.#isEnding = true
    if (this.#state !== "synSent" && this.#state !== "synReceived") this.#endNow()
  }

  /** Resets the connection. */
  reset(): void {
    if (this.#state === "closed") return
    if (this.#state !== "synSent") this.#send("RA", this.#sender.highest)
    this.#finish("resetByUs")
  }

  /** Forgets the connection silently, like a guest that is switched off. Later segments are answered with a reset. */
  vanish(): void {
    if (this.#state !== "closed") this.#finish("vanished")
  }

  /** Stops reading: the window closes as the buffer fills. */
  pause(): void {
    this.#isPaused = true
  }

  /** Reads the waiting bytes, and resumes reading. */
  resume(): void {
    this.#isPaused = false
    this.take(Number.POSITIVE_INFINITY)
  }

  /** While paused, reads up to `length` waiting bytes. Returns their number. */
  take(length: number): number {
    const bytes = this.#receiver.take(length)
    if (bytes.length > 0) {
      this.onData?.(bytes)
      this.#advertiseWindow()
    }
    if (this.#receiver.isEnded && this.#receiver.unread === 0 && !this.#isEndRead) {
      this.#isEndRead = true
      this.onEnd?.()
    }
    return bytes.length
  }

  /** Sends a keep-alive probe (RFC 9293, section 3.8.4): a reset may have been lost. */
  keepAlive(): void {
    if (this.#state !== "closed" && this.#state !== "synSent") this.#send("A", advance(this.#sender.highest, -1))
  }

  /** Begins the handshake. */
  open(): void {
    this.#sendSyn()
    this.#synTimer.start()
  }

  /** Answers a SYN that a listener received. */
  accept(syn: ParsedTcp): void {
    this.#state = "synReceived"
    this.#noteSyn(syn)
    this.#sendSyn()
    this.#synTimer.start()
  }

  /** True if the connection only waits for late segments, and the SYN begins a new one (RFC 9293, section 3.10.7.4). */
  isSucceededBy(syn: ParsedTcp): boolean {
    return this.#state === "timeWait" && syn.flags === "S" && distance(syn.sequence, this.#receiver.next) > 0
  }

  /**
   * An ICMP error says that the other end can't be reached (RFC 5927, section 4: only believed before the handshake).
   */
  unreachable(): void {
    if (this.#state === "synSent") this.#finish("unreachable")
  }

  /** Handles a segment of this connection (RFC 9293, section 3.10.7). */
  arrive(frame: ReceivedFrame): void {
    const segment = frame.tcp
    if (segment === undefined || this.#state === "closed") return
    this.#checkSize(frame)
    if (this.#state === "synSent") this.#arriveInSynSent(segment)
    else this.#arriveInOrder(segment, frame.payload)
  }

  emit(sequence: number, bytes: Uint8Array, isLast: boolean): void {
    this.#send(isLast ? "FA" : bytes.length > 0 ? "PA" : "A", sequence, bytes)
  }

  giveUp(): void {
    this.#send("RA", this.#sender.highest)
    this.#finish("timedOut")
  }

  /** For messages: both ends and the state. */
  toString(): string {
    const { address, port, otherAddress, otherPort } = this.ends
    return `${formatEndpoint(address, port)} → ${formatEndpoint(otherAddress, otherPort)} (${this.#state})`
  }

  #arriveInSynSent(segment: ParsedTcp): void {
    const isAnswer = segment.flags.includes("A")
    if (isAnswer && segment.acknowledgement !== advance(this.#initial, 1)) {
      if (!segment.flags.includes("R")) this.#send("R", segment.acknowledgement)
      return
    }
    if (segment.flags.includes("R")) {
      if (isAnswer) this.#finish("refused")
      return
    }
    if (!segment.flags.includes("S") || !isAnswer) return
    this.#noteSyn(segment)
    this.#establish(segment)
    this.#acknowledge()
  }

  #arriveInOrder(segment: ParsedTcp, payload: Uint8Array): void {
    const { flags } = segment
    if (!this.#isAcceptable(segment, payload.length)) {
      if (!flags.includes("R")) this.#acknowledge()
      // A retransmitted FIN means that our last acknowledgement was lost.
      if (this.#state === "timeWait") this.#startTimeWait()
      return
    }
    if (flags.includes("R")) {
      // RFC 5961, section 3.2: only an exact match resets; other numbers get a challenge ACK.
      if (segment.sequence === this.#receiver.next) this.#finish("reset")
      else this.#acknowledge()
      return
    }
    if (flags.includes("S")) {
      if (this.#state === "synReceived") this.#sendSyn()
      else this.#acknowledge()
      return
    }
    if (!flags.includes("A")) return
    if (this.#state === "synReceived") {
      if (segment.acknowledgement !== advance(this.#initial, 1)) {
        this.#send("R", segment.acknowledgement)
        return
      }
      this.#establish(segment)
    }
    const isLast = flags.includes("F")
    this.#takeAcknowledgement(segment, payload.length === 0 && !isLast)
    if (payload.length > 0 || isLast) this.#takeData(segment, payload, isLast)
  }

  #takeAcknowledgement(segment: ParsedTcp, isBare: boolean): void {
    if (!this.#sender.isPlausible(segment.acknowledgement)) {
      this.#violation(`${segment.acknowledgement} is acknowledged and was never sent`)
      this.#acknowledge()
      return
    }
    this.#sender.acknowledge(segment, segment.window << this.#sendScale, isBare)
    if (!this.#sender.isEndAcknowledged) return
    if (this.#state === "finWait1") this.#setState("finWait2")
    else if (this.#state === "closing") this.#startTimeWait()
    else if (this.#state === "lastAck") this.#finish(undefined)
  }

  #takeData(segment: ParsedTcp, payload: Uint8Array, isLast: boolean): void {
    const wasEnded = this.#receiver.isEnded
    const { fresh, isIrregular } = this.#receiver.arrive(segment.sequence, payload, isLast)
    if (this.#receiver.isEnded && !wasEnded) {
      if (this.#state === "established") this.#setState("closeWait")
      else if (this.#state === "finWait1") this.#setState("closing")
      else if (this.#state === "finWait2") this.#startTimeWait()
    }
    this.#unanswered += fresh > 0 ? 1 : 0
    const delay = this.#options.acknowledgementDelay ?? 40
    if (isIrregular || this.#unanswered >= 2 || delay === 0) this.#acknowledge()
    else this.#acknowledgementTimer ??= this.#surroundings.clock.schedule(delay, () => this.#acknowledge())
    if (!this.#isPaused) this.take(Number.POSITIVE_INFINITY)
  }

  /** RFC 9293, table 6. */
  #isAcceptable(segment: ParsedTcp, payloadLength: number): boolean {
    const length = payloadLength + (segment.flags.includes("F") ? 1 : 0) + (segment.flags.includes("S") ? 1 : 0)
    const window = Math.max(this.#receiver.room, distance(this.#receiver.edge, this.#receiver.next))
    const start = distance(segment.sequence, this.#receiver.next)
    if (length === 0) return window === 0 ? start === 0 : start >= 0 && start < window
    return window > 0 && start < window && start + length > 0
  }

  #checkSize(frame: ReceivedFrame): void {
    if (frame.problems.length > 0) this.#violation(frame.problems.join("; "))
    const size = frame.segmentSize > 0 ? frame.segmentSize : frame.payload.length
    if (size > this.#mss) this.#violation(`a segment of ${size} bytes is larger than the MSS, ${this.#mss}`)
  }

  #noteSyn(syn: ParsedTcp): void {
    this.#receiver.start(syn.sequence)
    const { mss = 536, windowScale } = syn.options
    this.#sender.mss = Math.min(mss, this.#surroundings.mtu - (this.ends.address.isV4 ? 40 : 60))
    const isLarge = this.#options.usesSegmentationOffload && this.#surroundings.cutsSegments
    this.#sender.largest = isLarge ? LARGEST_PIECE : this.#sender.mss
    const ownScale = this.#ownScale
    if (windowScale === undefined || ownScale === undefined) return
    this.#sendScale = Math.min(14, windowScale)
    this.#receiveScale = ownScale
  }

  #establish(segment: ParsedTcp): void {
    this.#synTimer.stop()
    // A window in a SYN is never scaled (RFC 7323, section 2.2).
    const scale = segment.flags.includes("S") ? 0 : this.#sendScale
    this.#sender.establish(segment, segment.window << scale)
    this.#setState("established")
    this.onConnected?.()
    for (const bytes of this.#early.splice(0)) this.#sender.write(bytes)
    if (this.#isEnding) this.#endNow()
  }

  #endNow(): void {
    if (this.#state === "established") this.#setState("finWait1")
    else if (this.#state === "closeWait") this.#setState("lastAck")
    else return
    this.#sender.end()
  }

  get #ownScale(): number | undefined {
    const { windowScale, receiveBuffer = 65_535 } = this.#options
    if (windowScale === "none") return undefined
    if (windowScale !== undefined) return Math.min(windowScale, Math.floor(Math.log2(receiveBuffer)))
    return Math.max(0, Math.ceil(Math.log2((receiveBuffer + 1) / 65_536)))
  }

  #sendSyn(): void {
    const isAnswer = this.#state === "synReceived"
    const options = { mss: this.#mss, windowScale: this.#ownScale }
    const window = Math.min(65_535, this.#receiver.room)
    const acknowledgement = isAnswer ? this.#receiver.next : 0
    const flags = isAnswer ? "SA" : "S"
    if (isAnswer) this.#receiver.edge = advance(this.#receiver.next, window)
    this.#surroundings.send(this, { flags, sequence: this.#initial, acknowledgement, window, options })
  }

  #repeatSyn(): void {
    if (this.#synTimer.expirations > SYN_RETRIES) {
      this.#finish("timedOut")
      return
    }
    this.#sendSyn()
    this.#synTimer.start()
  }

  /** The number behind all data ever sent, also during a retransmission: an earlier one is never accepted. */
  #acknowledge(): void {
    this.#send("A", this.#sender.highest)
  }

  #send(flags: string, sequence: number, bytes: Uint8Array = EMPTY): void {
    const acknowledgement = flags.includes("A") ? this.#receiver.next : 0
    this.#surroundings.send(this, { flags, sequence, acknowledgement, window: this.#windowToAdvertise(), bytes })
    this.#acknowledgementTimer?.cancel()
    this.#acknowledgementTimer = undefined
    this.#unanswered = 0
  }

  /**
   * Returns the window field, and notes the edge that it allows. The edge never moves back (RFC 9293, section 3.8.6).
   */
  #windowToAdvertise(): number {
    const least = Math.max(0, distance(this.#receiver.edge, this.#receiver.next))
    const room = Math.max(least, this.#receiver.room)
    // Rounding up keeps a promise that does not fit the scale; the receive queue accepts up to the promised edge.
    const field = Math.min(65_535, room === least ? ceilShift(room, this.#receiveScale) : room >> this.#receiveScale)
    const edge = advance(this.#receiver.next, field << this.#receiveScale)
    if (distance(edge, this.#receiver.edge) > 0) this.#receiver.edge = edge
    return field
  }

  /** Announces room that reading made, if it is worth a segment (RFC 9293, section 3.8.6.2.2). */
  #advertiseWindow(): void {
    if (this.#state === "closed" || this.#receiver.isEnded) return
    const growth = this.#receiver.room - Math.max(0, distance(this.#receiver.edge, this.#receiver.next))
    const worthwhile = this.#options.advertisesEveryWindow
      ? 1 << this.#receiveScale
      : Math.min(2 * this.#mss, this.#receiver.capacity / 2)
    if (growth >= worthwhile) this.#acknowledge()
  }

  #startTimeWait(): void {
    this.#setState("timeWait")
    this.#sender.stop()
    this.#timeWaitTimer?.cancel()
    const wait = this.#options.timeWait ?? 60_000
    this.#timeWaitTimer = this.#surroundings.clock.schedule(wait, () => this.#finish(undefined))
  }

  #finish(failure: GuestConnectionFailure | undefined): void {
    this.#sender.stop()
    this.#synTimer.stop()
    this.#acknowledgementTimer?.cancel()
    this.#timeWaitTimer?.cancel()
    if (failure !== undefined && this.#state !== "timeWait") this.#failure = failure
    this.#setState("closed")
    this.#surroundings.forget(this)
    if (this.#failure !== undefined) this.onFailure?.(this.#failure)
  }

  #setState(state: GuestConnectionState): void {
    this.#state = state
  }

  #violation(what: string): void {
    this.#surroundings.violation(`${this}: ${what}`)
  }
}

function ceilShift(value: number, shift: number): number {
  return (value + (1 << shift) - 1) >> shift
}
