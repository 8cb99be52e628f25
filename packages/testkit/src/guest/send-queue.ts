import { ByteQueue } from "../host/byte-queue.ts"
import type { SeededRandom } from "../seeded-random.ts"
import type { VirtualClock } from "../virtual-clock.ts"
import { RetransmissionTimer } from "./retransmission-timer.ts"
import { advance, distance } from "./sequence-numbers.ts"

/** The connection, as its sending half needs it. */
export interface SendQueueOwner {
  /** Sends a segment with these bytes, beginning at this sequence number. */
  emit(sequence: number, bytes: Uint8Array, isLast: boolean): void
  /** Gives the connection up, after too long without an acknowledgement. */
  giveUp(): void
}

/** Consecutive timeouts, without a segment from the other end, after which the connection is given up. */
const PATIENCE = 12

/**
 * The sending half of the guest's TCP: the bytes that are not acknowledged, when they are sent, and when retransmitted.
 * Slow start, congestion avoidance and fast retransmit of RFC 5681 without SACK; go-back-N after a timeout.
 */
export class SendQueue {
  /** Oldest sequence number that is not acknowledged. */
  unacknowledged: number
  /** The next sequence number to send. */
  next: number
  /** Sequence number behind everything that was ever sent. */
  highest: number
  /** Window that the stack advertised, bytes. */
  window = 0
  /** Maximum payload of a segment, bytes. */
  mss = 536
  /** Maximum bytes that are handed to the link in one piece; more than the MSS where the link splits segments. */
  largest = 536
  /** True if segments are cut at random places. */
  isCutAtRandom = false
  /** Retransmitted segments. */
  retransmissions = 0
  /** True once the FIN was sent and acknowledged. */
  isEndAcknowledged = false
  readonly #timer: RetransmissionTimer
  readonly #clock: VirtualClock
  readonly #random: SeededRandom
  readonly #owner: SendQueueOwner
  readonly #bytes = new ByteQueue()
  #isEnding = false
  #congestionWindow = Number.POSITIVE_INFINITY
  #threshold = Number.POSITIVE_INFINITY
  #duplicates = 0
  /** Timeouts since the last segment from the other end: a closed window that is confirmed may stay closed for ever. */
  #silence = 0
  /** During recovery from a loss: the acknowledgement that ends the recovery. */
  #recovery: number | undefined
  #timed: { sequence: number; at: number } | undefined
  #windowFrom = { sequence: 0, acknowledgement: 0 }

  constructor(clock: VirtualClock, random: SeededRandom, owner: SendQueueOwner, initial: number) {
    this.#clock = clock
    this.#random = random
    this.#owner = owner
    this.unacknowledged = initial
    this.next = initial
    this.highest = initial
    this.#timer = new RetransmissionTimer(clock, () => this.#expire())
  }

  /** Bytes written that are not acknowledged. */
  get pending(): number {
    return this.#bytes.length
  }

  /** Notes that the handshake is done: the SYN took one number. */
  establish(segment: { sequence: number; acknowledgement: number }, window: number): void {
    this.unacknowledged = advance(this.unacknowledged, 1)
    this.next = this.unacknowledged
    this.highest = this.unacknowledged
    this.window = window
    this.#windowFrom = { sequence: segment.sequence, acknowledgement: segment.acknowledgement }
    this.#congestionWindow = 10 * this.mss
  }

  write(bytes: Uint8Array): void {
    this.#bytes.push(bytes)
    this.transmit()
  }

  end(): void {
    this.#isEnding = true
    this.transmit()
  }

  /** True if the number could acknowledge data that was sent. */
  isPlausible(acknowledgement: number): boolean {
    return distance(acknowledgement, this.highest) <= 0
  }

  /** Handles an acknowledgement and a window. `isBare` means that the segment carries nothing else. */
  acknowledge(segment: { sequence: number; acknowledgement: number }, window: number, isBare: boolean): void {
    this.#silence = 0
    const acknowledged = distance(segment.acknowledgement, this.unacknowledged)
    const isSameWindow = window === this.window
    if (acknowledged >= 0) this.#noteWindow(segment, window)
    if (acknowledged > 0) this.#advance(segment.acknowledgement, acknowledged)
    else if (acknowledged === 0 && isBare && isSameWindow && this.#inFlight > 0) this.#duplicate()
    this.transmit()
  }

  /** Sends as much as the windows allow. */
  transmit(): void {
    if (this.isEndAcknowledged) return
    for (;;) {
      const inFlight = this.#inFlight
      const waiting = this.#bytes.length - inFlight
      if (waiting < 0) break // The FIN is in flight as well.
      const allowed = Math.min(this.window, this.#congestionWindow) - inFlight
      let length = Math.max(0, Math.min(waiting, allowed, this.largest))
      if (length > 1 && this.isCutAtRandom && this.#random.chance(0.5)) length = this.#random.between(1, length)
      // Sender's silly window avoidance (RFC 9293, 3.8.6.2.1): small pieces only if nothing is in flight.
      else if (length > 0 && length < waiting && length < this.mss && inFlight > 0) break
      const isLast = this.#isEnding && length === waiting
      if (length === 0 && !isLast) break
      this.#sendFrom(inFlight, length, isLast)
      this.next = advance(this.next, length + (isLast ? 1 : 0))
      if (distance(this.next, this.highest) > 0) this.highest = this.next
      if (isLast) break
    }
    // Probes of a closed window use the same timer (RFC 9293, section 3.8.6.1).
    if (this.#inFlight > 0 || this.#bytes.length > 0) this.#timer.ensure()
    else this.#timer.stop()
  }

  stop(): void {
    this.#timer.stop()
    this.#bytes.clear()
  }

  get #inFlight(): number {
    return distance(this.next, this.unacknowledged)
  }

  #sendFrom(skip: number, length: number, isLast: boolean): void {
    const sequence = advance(this.unacknowledged, skip)
    const isAgain = distance(sequence, this.highest) < 0
    if (isAgain) this.retransmissions++
    else this.#timed ??= { sequence: advance(sequence, length), at: this.#clock.now }
    this.#owner.emit(sequence, this.#bytes.slice(skip, length), isLast)
  }

  #advance(acknowledgement: number, acknowledged: number): void {
    const dropped = this.#bytes.drop(acknowledged)
    if (acknowledged > dropped) this.isEndAcknowledged = true
    this.unacknowledged = acknowledgement
    if (distance(this.next, acknowledgement) < 0) this.next = acknowledgement
    this.#duplicates = 0
    this.#timer.progress()
    if (this.#timed !== undefined && distance(acknowledgement, this.#timed.sequence) >= 0) {
      this.#timer.measure(this.#clock.now - this.#timed.at)
      this.#timed = undefined
    }
    if (this.#recovery !== undefined && distance(acknowledgement, this.#recovery) < 0) this.#resendFirst()
    else {
      this.#recovery = undefined
      const isSlowStart = this.#congestionWindow < this.#threshold
      this.#congestionWindow += isSlowStart ? acknowledged : (this.mss * this.mss) / this.#congestionWindow
    }
    this.#timer.stop()
  }

  #duplicate(): void {
    this.#duplicates++
    if (this.#duplicates !== 3 || this.#recovery !== undefined) return
    this.#reduce()
    this.#recovery = this.highest
    this.#resendFirst()
  }

  #resendFirst(): void {
    const length = Math.min(this.#bytes.length, this.mss, this.#inFlight)
    const isLast = this.#isEnding && length === this.#bytes.length
    if (length > 0 || isLast) this.#sendFrom(0, length, isLast)
  }

  #reduce(): void {
    this.#threshold = Math.max(2 * this.mss, this.#inFlight / 2)
    this.#congestionWindow = this.#threshold
    this.#timed = undefined // Karn's algorithm: a retransmission measures nothing.
  }

  #expire(): void {
    if (++this.#silence > PATIENCE) {
      this.#owner.giveUp()
      return
    }
    if (this.#inFlight === 0 && this.#bytes.length > 0 && this.window === 0) {
      // A probe: one byte beyond the window, not counted as sent.
      if (distance(advance(this.next, 1), this.highest) > 0) this.highest = advance(this.next, 1)
      this.#owner.emit(this.next, this.#bytes.slice(0, 1), false)
    } else {
      this.#reduce()
      this.#congestionWindow = this.mss
      this.#recovery = undefined
      this.next = this.unacknowledged
      this.transmit()
    }
    this.#timer.ensure()
  }

  /** RFC 9293, section 3.10.7.4: only a newer segment changes the window. */
  #noteWindow(segment: { sequence: number; acknowledgement: number }, window: number): void {
    const { sequence, acknowledgement } = this.#windowFrom
    const ahead = distance(segment.sequence, sequence)
    if (ahead < 0 || (ahead === 0 && distance(segment.acknowledgement, acknowledgement) < 0)) return
    this.window = window
    this.#windowFrom = { sequence: segment.sequence, acknowledgement: segment.acknowledgement }
  }
}
