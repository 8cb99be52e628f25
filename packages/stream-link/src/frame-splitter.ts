/**
 * Splits a stream into frames, without I/O: the reader of any stream puts bytes in, and gets frames out, in place.
 *
 * Bytes go to one region of the arena. Whole frames are handed out where they lie. What is left at the end of the
 * region, the beginning of the next frame, is moved to the region's start before more is read. The region never grows,
 * since no frame is longer than {@link LONGEST_STREAM_FRAME}.
 *
 * The order of calls: {@link FrameSplitter.makeRoom}, read to {@link FrameSplitter.roomOffset},
 * {@link FrameSplitter.filled}, then {@link FrameSplitter.take} until nothing {@link FrameSplitter.isWaiting}.
 */
import { type Arena, ETHERNET_HEADER_LENGTH, type FrameBatch } from "@demiflow/core"
import { FRAME_LENGTH_BYTES, isFrameLength, LONGEST_STREAM_FRAME } from "./framing.ts"

const ALIGNMENT = 64

/** Splits one stream. */
export class FrameSplitter {
  readonly #view: DataView
  readonly #arena: Arena
  readonly #start: number
  readonly #end: number
  /** Bytes not handed out yet lie from `#next` to `#filled`. */
  #next: number
  #filled: number
  #badLength = -1
  #short = 0

  /** @param regionBytes arena bytes to reserve; a frame of {@link LONGEST_STREAM_FRAME} and its length must fit */
  constructor(arena: Arena, regionBytes: number) {
    if (regionBytes < FRAME_LENGTH_BYTES + LONGEST_STREAM_FRAME) {
      throw new RangeError(`${regionBytes} bytes do not hold one frame of ${LONGEST_STREAM_FRAME}: give it more`)
    }
    this.#arena = arena
    this.#view = arena.view
    this.#start = arena.reserve(regionBytes, ALIGNMENT, "a stream link")
    this.#end = this.#start + regionBytes
    this.#next = this.#start
    this.#filled = this.#start
  }

  /** The length that made the stream unreadable, after which no frame is handed out; -1 if there was none. */
  get badLength(): number {
    return this.#badLength
  }

  /** The number of frames shorter than an Ethernet header, which were skipped. */
  get short(): number {
    return this.#short
  }

  /**
   * True if {@link FrameSplitter.take} has a frame to hand out, or an impossible length to report, before more is read.
   */
  get isWaiting(): boolean {
    const available = this.#filled - this.#next - FRAME_LENGTH_BYTES
    if (available < 0 || this.#badLength >= 0) return false
    const length = this.#view.getUint32(this.#next)
    return length <= available || !isFrameLength(length)
  }

  /** Arena offset to read to. */
  get roomOffset(): number {
    return this.#filled
  }

  /**
   * Makes room for more bytes and returns how many fit. Frames handed out before are no longer valid. To be called when
   * nothing {@link FrameSplitter.isWaiting}: then there is always room.
   */
  makeRoom(): number {
    const length = this.#filled - this.#next
    if (length > 0 && this.#next > this.#start) this.#arena.copy(this.#next, this.#start, length)
    this.#next = this.#start
    this.#filled = this.#start + length
    return this.#end - this.#filled
  }

  /** Adds `length` bytes that were read to {@link FrameSplitter.roomOffset}. */
  filled(length: number): void {
    this.#filled += length
  }

  /**
   * Fills the batch with whole frames and returns their number; they stay valid until the next
   * {@link FrameSplitter.makeRoom}. An impossible length ends the stream for good, after the frames before it.
   */
  take(batch: FrameBatch): number {
    const view = this.#view
    const filled = this.#filled
    const { capacity } = batch
    let next = this.#next
    let count = 0
    while (count < capacity && filled - next >= FRAME_LENGTH_BYTES && this.#badLength < 0) {
      const length = view.getUint32(next)
      if (!isFrameLength(length)) {
        this.#badLength = length
        break
      }
      const frame = next + FRAME_LENGTH_BYTES
      if (filled - frame < length) break
      if (length >= ETHERNET_HEADER_LENGTH) batch.setPlain(count++, frame, length)
      else this.#short++
      next = frame + length
    }
    this.#next = next
    batch.count = count
    return count
  }

  /** Discards all bytes, before another stream begins. */
  reset(): void {
    this.#next = this.#start
    this.#filled = this.#start
    this.#badLength = -1
  }
}
