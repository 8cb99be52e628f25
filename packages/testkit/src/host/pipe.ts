/**
 * One direction of a simulated TCP connection: bytes move from a sender's buffer to a receiver's, which
 * acknowledges them when they arrive and accepts only as many as it has room for.
 *
 * The network between is perfect except for its delay: its losses concern the kernel, and are not tested here.
 */
import { ByteQueue } from "./byte-queue.ts"
import type { Network } from "./network.ts"

/** The receiving end of a pipe. */
export interface PipeReceiver {
  /** Bytes for which the receiver has room. */
  readonly room: number
  /** Delivers bytes, no more than there is room for. */
  arrive(bytes: Uint8Array): void
  /** Delivers the sender's end, after everything before it. */
  arriveEnd(): void
  /** Delivers the sender's reset. */
  arriveReset(): void
}

/** Reports to the sender. */
export interface PipeSender {
  /** Some of the written bytes are acknowledged: there is room again. */
  acknowledged(): void
}

export class Pipe {
  readonly #network: Network
  /** Orders the packets of a connection. */
  readonly #conversation: object
  /** Delay to the other end in milliseconds, drawn for each packet; the order is kept nevertheless. */
  readonly #delay: () => number
  readonly #receiver: PipeReceiver
  readonly #sender: PipeSender
  /** Bytes written and not acknowledged. */
  readonly #queue = new ByteQueue()
  /** Of these, bytes that were sent. */
  #sent = 0
  /** Of these, bytes that have not arrived yet. */
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
  /** True once the end, and everything before it, is acknowledged. */
  isEndAcknowledged = false

  /** @param conversation whose packets keep their order, whichever direction they go */
  constructor(network: Network, conversation: object, delay: () => number, sender: PipeSender, receiver: PipeReceiver) {
    this.#network = network
    this.#conversation = conversation
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

  /** True once the sender has ended. */
  get isEnding(): boolean {
    return this.#isEnding
  }

  /** True between a sender's end and its acknowledgement. */
  get isEndUnacknowledged(): boolean {
    return this.#isEnding && !this.isEndAcknowledged
  }

  /** Holds written bytes until {@link Pipe.release}: the handshake isn't done. */
  hold(): void {
    this.#isHeld = true
  }

  /** Sends the held bytes. */
  release(): void {
    this.#isHeld = false
    this.transmit()
  }

  /** Adds bytes; they are not copied. */
  write(bytes: Uint8Array): void {
    this.#queue.push(bytes)
    this.transmit()
  }

  /** Ends the direction: nothing more will be written. */
  end(): void {
    if (this.#isEnding) return
    this.#isEnding = true
    this.transmit()
  }

  /** The sender resets the connection: unsent bytes are lost, then the receiver is notified. */
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

  /** Stops this direction: nothing is sent any more, and packets in flight don't arrive. */
  cut(): void {
    this.#isCut = true
    this.#queue.clear()
    this.#sent = 0
  }

  /** Nothing arrives any more; written bytes wait for ever. */
  stop(): void {
    this.#isCut = true
  }

  /** Sends the bytes for which the receiver has room. Called again when the receiver has more room. */
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

  /** Runs at the other end after the delay, but after everything sent earlier. */
  #after(arrive: () => void): void {
    this.#lastArrival = Math.max(this.#lastArrival, this.#network.now + this.#delay())
    this.#network.deliver(this.#lastArrival - this.#network.now, this.#conversation, () => {
      if (!this.#isCut) arrive()
    })
  }

  /** Runs at the sender after the delay, as an acknowledgement that the receiver sends now. */
  #back(arrive: () => void): void {
    this.#lastAcknowledgement = Math.max(this.#lastAcknowledgement, this.#network.now + this.#delay())
    this.#network.deliver(this.#lastAcknowledgement - this.#network.now, this.#conversation, () => {
      if (this.#isCut || this.#isReset) return
      arrive()
      this.#sender.acknowledged()
    })
  }
}
