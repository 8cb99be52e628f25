import { type Arena, type FrameBatch, Segmentation } from "@demiflow/core"
import { completeFrame } from "./complete-frame.ts"

/** A copy of a frame and its fields in the batch. */
export interface HeldFrame {
  readonly bytes: Uint8Array
  readonly segmentation: number
  readonly segmentSize: number
  readonly headerLength: number
  checksumStart: number
  readonly checksumOffset: number
  checksumTrusted: number
  /** Clock milliseconds from which on the frame may be sent. */
  due: number
}

/** Copies frame `index` of a batch. */
export function holdFrame(arena: Arena, batch: FrameBatch, index: number): HeldFrame {
  const offset = batch.offset[index]
  return {
    bytes: arena.bytes.slice(offset, offset + batch.length[index]),
    segmentation: batch.segmentation[index],
    segmentSize: batch.segmentSize[index],
    headerLength: batch.headerLength[index],
    checksumStart: batch.checksumStart[index],
    checksumOffset: batch.checksumOffset[index],
    checksumTrusted: batch.checksumTrusted[index],
    due: 0,
  }
}

/** True if the frame holds several segments or datagrams. */
export function isLeftTogether(frame: HeldFrame): boolean {
  return frame.segmentation !== Segmentation.none
}

/** Flips a bit. Completes the checksum first and no longer vouches for it, so that the damage can be detected. */
export function corruptFrame(frame: HeldFrame, bit: number): void {
  completeFrame(frame.bytes, frame.checksumStart, frame.checksumOffset)
  frame.checksumStart = 0
  frame.checksumTrusted = 0
  frame.bytes[bit >>> 3] ^= 1 << (bit & 7)
}

/** Frames that wait for their time, and the memory from which they are sent. */
export class HeldFrames {
  readonly #arena: Arena
  readonly #start: number
  readonly #end: number
  readonly #headroom: number
  readonly #frames: HeldFrame[] = []

  /** @param bytes to reserve in the arena, for the frames of one batch */
  constructor(arena: Arena, bytes: number, headroom: number) {
    this.#arena = arena
    this.#start = arena.reserve(bytes, 64, "frames that a link holds")
    this.#end = this.#start + bytes
    this.#headroom = headroom
  }

  get count(): number {
    return this.#frames.length
  }

  /** When the first frame may be sent, in clock milliseconds; Infinity if there is none. */
  get nextDue(): number {
    return this.#frames.length > 0 ? this.#frames[0].due : Number.POSITIVE_INFINITY
  }

  /** Adds a frame behind all that are due before it or at the same time. */
  add(frame: HeldFrame): void {
    let index = this.#frames.length
    while (index > 0 && this.#frames[index - 1].due > frame.due) index--
    this.#frames.splice(index, 0, frame)
  }

  /** Copies the frames that are due to the batch and the arena. They stay here until {@link HeldFrames.remove}. */
  fill(batch: FrameBatch, now: number): number {
    let count = 0
    let next = this.#start
    while (count < batch.capacity && count < this.#frames.length) {
      const frame = this.#frames[count]
      const offset = next + this.#headroom
      if (frame.due > now || offset + frame.bytes.length > this.#end) break
      this.#arena.bytes.set(frame.bytes, offset)
      batch.setPlain(count, offset, frame.bytes.length)
      batch.segmentation[count] = frame.segmentation
      batch.segmentSize[count] = frame.segmentSize
      batch.headerLength[count] = frame.headerLength
      batch.checksumStart[count] = frame.checksumStart
      batch.checksumOffset[count] = frame.checksumOffset
      batch.checksumTrusted[count] = frame.checksumTrusted
      next = (offset + frame.bytes.length + 63) & -64
      count++
    }
    batch.count = count
    return count
  }

  /** Removes the first `count` frames. */
  remove(count: number): void {
    this.#frames.splice(0, count)
  }
}
