/**
 * One direction of a simulated TCP connection: bytes on their way from a sender's buffer to a receiver's, which
 * acknowledges them when they arrive and takes no more than it has room for.
 *
 * The network between is perfect but for its delay: losses there are the kernel's business, not what is tested here.
 */
import { ByteQueue } from "./byte-queue.ts"
import type { Network } from "./network.ts"

/** The receiving end of a pipe. */
export interface PipeReceiver {
  /** Bytes that it has room for. */
  readonly room: number
  /** Bytes have arrived, no more than there is room for. */
  arrive(bytes: Uint8Array): void
  /** The sender has ended; everything before has arrived. */
  arriveEnd(): void
  /** The sender has reset the connection. */
  arriveReset(): void
}

/** What is reported to the sender. */
export interface PipeSender {
  /** Some of what was written is acknowledged: there is room again. */
  acknowledged(): void
}

export class Pipe {
  readonly #network: Network
  /** Milliseconds that something takes to the other end, drawn for each packet; order is kept nevertheless. */
  readonly #delay: () => number
  readonly #receiver: PipeReceiver
  readonly #sender: PipeSender
  /** Written and not acknowledged. */
  readonly #queue = new ByteQueue()
  /** Of these, on their way or arrived. */
  #sent = 0
  /** Of these, not arrived yet. */
  #travelling = 0
  #lastArrival = 0
  #lastAcknowledgement = 0
  #isEnding = false
  #isEndSent = false
  #isReset = false
  #isCut = false
  #isHeld = false
  /** Bytes acknowledged since the beginning. */
  acknowledgedBytes = 0
  /** True once the end is acknowledged, and with it everything. */
  isEndAcknowledged = false

  constructor(network: Network, delay: () => number, sender: PipeSender, receiver: PipeReceiver) {
    this.#network = network
    this.#delay = delay
    this.#sender = sender
    this.#receiver = receiver
  }

  /** Bytes written and not acknowledged. */
  get unacknowledged(): number {
    return this.#queue.length
  }

  /** Bytes written that have not left. */
  get unsent(): number {
    return this.#queue.length - this.#sent
  }

  /** True once the sender has said that it sends nothing more. */
  get isEnding(): boolean {
    return this.#isEnding
  }

  /** True between a sender's end and its acknowledgement. */
  get isEndUnacknowledged(): boolean {
    return this.#isEnding && !this.isEndAcknowledged
  }

  /** Keeps what is written until {@link Pipe.release}: the handshake isn't done. */
  hold(): void {
    this.#isHeld = true
  }

  /** Sends what was held. */
  release(): void {
    this.#isHeld = false
    this.transmit()
  }

  /** Adds bytes; they are not copied. */
  write(bytes: Uint8Array): void {
    this.#queue.push(bytes)
    this.transmit()
  }

  /** Nothing more will be written. */
  end(): void {
    if (this.#isEnding) return
    this.#isEnding = true
    this.transmit()
  }

  /** The connection is reset by the sender: what has not left is lost, then the receiver hears of it. */
  resetBySender(): void {
    if (this.#isCut || this.#isReset) return
    this.#isReset = true
    this.#queue.clear()
    this.#sent = 0
    this.#after(() => {
      this.#isCut = true
      this.#receiver.arriveReset()
    })
  }

  /** Nothing travels any more in this direction, and nothing that is on its way arrives. */
  cut(): void {
    this.#isCut = true
    this.#queue.clear()
    this.#sent = 0
  }

  /** Nothing arrives any more; what was written waits for good. */
  stop(): void {
    this.#isCut = true
  }

  /** Sends what the receiver has room for. Called again when the receiver has more room. */
  transmit(): void {
    if (this.#isCut || this.#isReset || this.#isHeld) return
    const length = Math.min(this.unsent, this.#receiver.room - this.#travelling)
    if (length > 0) {
      const bytes = this.#queue.slice(this.#sent, length)
      this.#sent += length
      this.#travelling += length
      this.#after(() => {
        this.#travelling -= length
        this.#receiver.arrive(bytes)
        this.#acknowledge(length)
      })
    }
    if (this.#isEnding && !this.#isEndSent && this.unsent === 0) {
      this.#isEndSent = true
      this.#after(() => {
        this.#receiver.arriveEnd()
        this.#back(() => {
          this.isEndAcknowledged = true
        })
      })
    }
  }

  #acknowledge(length: number): void {
    this.#back(() => {
      this.#sent -= length
      this.acknowledgedBytes += this.#queue.drop(length)
    })
  }

  /** Runs at the other end after the delay, not before what was sent earlier. */
  #after(arrive: () => void): void {
    this.#lastArrival = Math.max(this.#lastArrival, this.#network.now + this.#delay())
    this.#network.deliver(this.#lastArrival - this.#network.now, () => {
      if (!this.#isCut) arrive()
    })
  }

  /** Runs at the sender after the delay, as an acknowledgement that the receiver sends now. */
  #back(arrive: () => void): void {
    this.#lastAcknowledgement = Math.max(this.#lastAcknowledgement, this.#network.now + this.#delay())
    this.#network.deliver(this.#lastAcknowledgement - this.#network.now, () => {
      if (this.#isCut || this.#isReset) return
      arrive()
      this.#sender.acknowledged()
    })
  }
}
