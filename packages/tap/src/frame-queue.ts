import { type Arena, type DropReason, type Drops, FrameBatch, type Link, SMALLEST_FRAME } from "@demiflow/core"

/** Starts of frames, so that headers don't straddle cache lines. */
export const FRAME_ALIGNMENT = 64

/**
 * Frames that wait for the link, and spare memory for those that are made of pieces of others. Whatever was copied
 * there is on its way once the queue is sent, and the memory is free again.
 */
export class FrameQueue {
  readonly batch: FrameBatch
  readonly #arena: Arena
  readonly #smallest: number
  readonly #headroom: number
  readonly #link: Link
  readonly #drops: Drops
  readonly #linkFull: DropReason
  readonly #spareStart: number
  readonly #spareEnd: number
  #spareNext: number

  /** @param spareBytes reserved of the link's arena; more than the largest frame takes with its headroom */
  constructor(link: Link, drops: Drops, capacity: number, spareBytes: number) {
    this.batch = new FrameBatch(capacity)
    this.#arena = link.arena
    this.#smallest = link.capabilities.smallestFrame ?? SMALLEST_FRAME
    this.#headroom = link.capabilities.headroom
    this.#link = link
    this.#drops = drops
    this.#linkFull = drops.reason("link: full")
    this.#spareStart = link.arena.reserve(spareBytes, FRAME_ALIGNMENT)
    this.#spareEnd = this.#spareStart + spareBytes
    this.#spareNext = this.#spareStart
  }

  /** The index in the batch at which the caller puts one more frame. Sends what waits if there is no place. */
  next(): number {
    const { batch } = this
    if (batch.count === batch.capacity) this.send()
    return batch.count++
  }

  /**
   * Sets spare memory aside for one frame with its headroom and padding. Sends what waits if there is no room. The next call
   * but {@link FrameQueue.pad} has to be {@link FrameQueue.next}, for that frame.
   */
  spare(size: number): number {
    const room = Math.max(size, this.#headroom + this.#smallest)
    if (this.batch.count === this.batch.capacity || this.#spareNext + room > this.#spareEnd) this.send()
    const offset = this.#spareNext
    this.#spareNext = offset + ((room + FRAME_ALIGNMENT - 1) & -FRAME_ALIGNMENT)
    return offset
  }

  /** Pads a frame with zeros to what the link wants at least; answers its length then. There is room behind it. */
  pad(frame: number, length: number): number {
    if (length >= this.#smallest) return length
    this.#arena.bytes.fill(0, frame + length, frame + this.#smallest)
    return this.#smallest
  }

  /** Hands everything to the link. What it doesn't take is lost: a packet network may do that. */
  send(): void {
    const { batch } = this
    if (batch.count > 0) {
      const taken = this.#link.send(batch, 0, batch.count)
      if (taken < batch.count) this.#drops.count(this.#linkFull, batch.count - Math.max(taken, 0))
    }
    batch.count = 0
    this.#spareNext = this.#spareStart
  }
}
