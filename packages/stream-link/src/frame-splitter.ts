/**
 * A stream cut into frames, pure: the reader of any stream puts bytes in, and frames come out, in place.
 *
 * Bytes go to one region of the arena. Whole frames are handed out where they lie; what is left of them at the end of
 * the region, the beginning of the next frame, is moved to the region's start before more is read. The region never
 * grows, since no frame is longer than {@link LONGEST_STREAM_FRAME}.
 *
 * In turn: {@link FrameSplitter.makeRoom}, read to {@link FrameSplitter.roomOffset}, {@link FrameSplitter.filled}, then
 * {@link FrameSplitter.take} until nothing {@link FrameSplitter.isWaiting}.
 */
import { type Arena, ETHERNET_HEADER_LENGTH, type FrameBatch } from "@demiflow/core"
import { FRAME_LENGTH_BYTES, isFrameLength, LONGEST_STREAM_FRAME } from "./framing.ts"

const ALIGNMENT = 64

/** Cuts one stream. */
export class FrameSplitter {
  readonly #view: DataView
  readonly #arena: Arena
  readonly #start: number
  readonly #end: number
  /** What has not been handed out yet: from `#next` to `#filled`. */
  #next: number
  #filled: number
  #badLength = -1
  #short = 0

  /** @param regionBytes reserved of the arena; at least one frame of {@link LONGEST_STREAM_FRAME} with its length fits */
  constructor(arena: Arena, regionBytes: number) {
    if (regionBytes < FRAME_LENGTH_BYTES + LONGEST_STREAM_FRAME) {
      throw new RangeError(`${regionBytes} bytes do not hold one frame of ${LONGEST_STREAM_FRAME}: give it more`)
    }
    this.#arena = arena
    this.#view = arena.view
    this.#start = arena.reserve(regionBytes, ALIGNMENT)
    this.#end = this.#start + regionBytes
    this.#next = this.#start
    this.#filled = this.#start
  }

  /** The length that made the stream unreadable; -1 as long as it isn't. Nothing more is handed out then. */
  get badLength(): number {
    return this.#badLength
  }

  /** Frames shorter than an Ethernet header so far, which were left out. */
  get short(): number {
    return this.#short
  }

  /** True if {@link FrameSplitter.take} has something to hand out, or an impossible length to find, without more being read. */
  get isWaiting(): boolean {
    const available = this.#filled - this.#next - FRAME_LENGTH_BYTES
    if (available < 0 || this.#badLength >= 0) return false
    const length = this.#view.getUint32(this.#next)
    return length <= available || !isFrameLength(length)
  }

  /** Where to read to. */
  get roomOffset(): number {
    return this.#filled
  }

  /**
   * Makes room for more and answers how much, in bytes. Frames that were handed out are no longer valid afterwards. To be
   * called when nothing {@link FrameSplitter.isWaiting}: there is always room then.
   */
  makeRoom(): number {
    const length = this.#filled - this.#next
    if (length > 0 && this.#next > this.#start) this.#arena.copy(this.#next, this.#start, length)
    this.#next = this.#start
    this.#filled = this.#start + length
    return this.#end - this.#filled
  }

  /** So many bytes were read to {@link FrameSplitter.roomOffset}. */
  filled(length: number): void {
    this.#filled += length
  }

  /**
   * Fills the batch with whole frames and answers their number; they stay valid until the next
   * {@link FrameSplitter.makeRoom}. An impossible length ends it for good, after the frames in front of it.
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

  /** Forgets what was read: another stream begins. */
  reset(): void {
    this.#next = this.#start
    this.#filled = this.#start
    this.#badLength = -1
  }
}
