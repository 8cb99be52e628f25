/**
 * Splits chunks of a stream into frames, each behind its length: four bytes, most significant first. QEMU's `-netdev
 * stream` has this format. Without I/O.
 *
 * A frame that lies within a chunk is handed out in place. One that doesn't is gathered in memory of fixed size. Frames
 * that are longer than allowed, up to the longest that QEMU sends, are skipped and counted; any other length ends the
 * stream, since the start of the next frame can't be found.
 */

/** Bytes of the length before each frame. */
export const LENGTH_BYTES = 4
/** QEMU's own limit, in bytes. */
const LONGEST_OF_QEMU = 65_536 + 4_096
const NO_BYTES = new Uint8Array(0)

/** What is done with frames. */
export interface FrameTaker {
  /** True if a frame may be taken now; if not, the rest of a chunk waits for {@link LengthSplitter.run}. */
  readonly hasRoom: boolean
  /** Takes a frame. Its bytes change after the call. */
  push(frame: Uint8Array): unknown
}

/** Splits one stream. */
export class LengthSplitter {
  readonly #taker: FrameTaker
  readonly #gathered: Uint8Array
  #chunk: Uint8Array = NO_BYTES
  #next = 0
  /** The length field, as far as it has arrived. */
  #field = 0
  #fieldBytes = 0
  /** Bytes of the current frame that have not arrived. */
  #missing = 0
  #gatheredBytes = 0
  #badLength = -1

  /** @param longest bytes of the longest frame that is gathered whole; longer ones are handed out by their beginning */
  constructor(taker: FrameTaker, longest: number) {
    this.#taker = taker
    // One byte more, so that the taker sees that a frame is too long.
    this.#gathered = new Uint8Array(longest + 1)
  }

  /** The length that ended the stream; -1 if there was none. */
  get badLength(): number {
    return this.#badLength
  }

  /** True if part of a frame has arrived. */
  get isInFrame(): boolean {
    return this.#fieldBytes > 0
  }

  /** True if part of a chunk waits, because there was no room. */
  get isWaiting(): boolean {
    return this.#next < this.#chunk.length && this.#badLength < 0
  }

  /** Takes a chunk, when nothing {@link LengthSplitter.isWaiting}. */
  feed(chunk: Uint8Array): void {
    this.#chunk = chunk
    this.#next = 0
    this.run()
  }

  /** Hands out frames of the chunk while there is room. */
  run(): void {
    while (this.isWaiting) {
      if (this.#fieldBytes < LENGTH_BYTES) this.#readLength()
      else if (!this.#takeFrame()) return
    }
    this.#chunk = NO_BYTES
    this.#next = 0
  }

  #readLength(): void {
    this.#field = this.#field * 256 + this.#chunk[this.#next++]
    if (++this.#fieldBytes < LENGTH_BYTES) return
    if (this.#field === 0 || this.#field > LONGEST_OF_QEMU) this.#badLength = this.#field
    this.#missing = this.#field
    this.#gatheredBytes = 0
  }

  /** Takes what has arrived of a frame. Returns false if there is no room for it. */
  #takeFrame(): boolean {
    const available = Math.min(this.#missing, this.#chunk.length - this.#next)
    const isComplete = available === this.#missing
    if (isComplete && !this.#taker.hasRoom) return false
    const piece = this.#chunk.subarray(this.#next, this.#next + available)
    this.#next += available
    this.#missing -= available
    if (isComplete && this.#gatheredBytes === 0) this.#taker.push(piece)
    else {
      const kept = Math.min(available, this.#gathered.length - this.#gatheredBytes)
      this.#gathered.set(kept < available ? piece.subarray(0, kept) : piece, this.#gatheredBytes)
      this.#gatheredBytes += kept
      if (isComplete) this.#taker.push(this.#gathered.subarray(0, this.#gatheredBytes))
    }
    if (isComplete) {
      this.#field = 0
      this.#fieldBytes = 0
    }
    return true
  }
}
