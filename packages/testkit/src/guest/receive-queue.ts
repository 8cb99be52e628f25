import { advance, distance } from "./sequence-numbers.ts"

/** The effect of a segment's bytes. */
export interface Arrival {
  /** Bytes that became readable. */
  readonly fresh: number
  /** True if the segment left a gap, filled one, or brought nothing new. It is then acknowledged at once. */
  readonly isIrregular: boolean
}

/**
 * The receiving half of the guest's TCP: puts bytes in order, keeps early ones, and tracks the window.
 *
 * It keeps all bytes ever received, so that a retransmission with other content, or data beyond the advertised window,
 * is noticed and reported.
 */
export class ReceiveQueue {
  /** The next expected sequence number. */
  next = 0
  /** True once the sender's FIN has arrived in order. */
  isEnded = false
  /** Sequence number behind the last byte that was ever inside an advertised window. */
  edge = 0
  readonly capacity: number
  readonly #onViolation: (what: string) => void
  #stream = new Uint8Array(4_096)
  #length = 0
  #readLength = 0
  #first = 0
  #early: { start: number; bytes: Uint8Array }[] = []
  /** The position of the sender's FIN, once known, in bytes from the beginning. */
  #endAt: number | undefined

  constructor(capacity: number, onViolation: (what: string) => void) {
    this.capacity = capacity
    this.#onViolation = onViolation
  }

  /** Sets the sender's initial sequence number. */
  start(initial: number): void {
    this.#first = advance(initial, 1)
    this.next = this.#first
    this.edge = this.#first
  }

  /** Bytes in order that were not read. */
  get unread(): number {
    return this.#length - this.#readLength
  }

  /** Room in the buffer: the window. */
  get room(): number {
    return Math.max(0, this.capacity - this.unread)
  }

  /** Everything read so far. */
  get read(): Uint8Array {
    return this.#stream.subarray(0, this.#readLength)
  }

  /** Number of bytes read so far. */
  get readLength(): number {
    return this.#readLength
  }

  /** Reads up to `length` bytes. */
  take(length: number): Uint8Array {
    const end = Math.min(this.#length, this.#readLength + length)
    const bytes = this.#stream.slice(this.#readLength, end)
    this.#readLength = end
    return bytes
  }

  /** Stores the bytes of a segment at their position. */
  arrive(sequence: number, bytes: Uint8Array, isLast: boolean): Arrival {
    const start = distance(sequence, this.#first)
    this.#checkWindow(start, bytes.length)
    if (isLast) this.#noteEnd(start + bytes.length)
    const hadEarly = this.#early.length > 0
    const before = this.#length
    this.#store(start, bytes)
    while (this.#early.length > 0 && this.#early[0].start <= this.#length) {
      const { start: earlyStart, bytes: earlyBytes } = this.#early.shift() as { start: number; bytes: Uint8Array }
      this.#store(earlyStart, earlyBytes)
    }
    const fresh = this.#length - before
    if (this.#endAt !== undefined && this.#length === this.#endAt) this.isEnded = true
    this.next = advance(this.#first, this.#length + (this.isEnded ? 1 : 0))
    return { fresh, isIrregular: fresh === 0 || hadEarly || isLast }
  }

  #store(start: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return
    const known = Math.min(bytes.length, this.#length - start)
    if (start < 0) return
    for (let index = 0; index < known; index++) {
      if (this.#stream[start + index] === bytes[index]) continue
      this.#onViolation(`byte ${start + index} was sent again with another value`)
      break
    }
    if (start > this.#length) this.#keep(start, bytes)
    else if (known < bytes.length) this.#append(bytes.subarray(Math.max(0, known)))
  }

  #append(bytes: Uint8Array): void {
    // Data beyond the window is lost; data inside a once advertised window is accepted.
    const fitting = bytes.subarray(0, Math.max(0, distance(this.edge, this.#first) - this.#length))
    if (this.#length + fitting.length > this.#stream.length) {
      const larger = new Uint8Array(2 * (this.#length + fitting.length))
      larger.set(this.#stream.subarray(0, this.#length))
      this.#stream = larger
    }
    this.#stream.set(fitting, this.#length)
    this.#length += fitting.length
  }

  #keep(start: number, bytes: Uint8Array): void {
    const index = this.#early.findIndex((piece) => piece.start >= start)
    this.#early.splice(index < 0 ? this.#early.length : index, 0, { start, bytes })
  }

  #checkWindow(start: number, length: number): void {
    const beyond = start + length - distance(this.edge, this.#first)
    // One byte beyond a closed window is a probe (RFC 9293, section 3.8.6.1).
    if (beyond > 0 && length > 1) this.#onViolation(`${length} bytes end ${beyond} beyond the advertised window`)
    if (this.#endAt !== undefined && start + length > this.#endAt) {
      this.#onViolation("data were sent beyond the end")
    }
  }

  #noteEnd(endAt: number): void {
    if (this.#endAt !== undefined && this.#endAt !== endAt) this.#onViolation("the end was sent twice, at two places")
    this.#endAt = endAt
  }
}
