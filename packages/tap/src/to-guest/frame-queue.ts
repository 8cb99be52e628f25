import { type Arena, type DropReason, type Drops, FrameBatch, type Link, SMALLEST_FRAME } from "@demiflow/core"

/** Frames start at multiples of this, so that headers don't straddle cache lines. */
export const FRAME_ALIGNMENT = 64

/**
 * Frames that wait for the link, and spare memory for frames built from pieces of others. Once the queue is sent, the
 * spare memory is free again.
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

  /** @param spareBytes to reserve of the arena; more than the largest frame takes with its headroom */
  constructor(link: Link, drops: Drops, capacity: number, spareBytes: number, arena: Arena) {
    this.batch = new FrameBatch(capacity)
    this.#arena = link.arena
    this.#smallest = link.capabilities.smallestFrame ?? SMALLEST_FRAME
    this.#headroom = link.capabilities.headroom
    this.#link = link
    this.#drops = drops
    this.#linkFull = drops.reason("link: full")
    this.#spareStart = arena.reserve(spareBytes, FRAME_ALIGNMENT, "frames to the guest")
    this.#spareEnd = this.#spareStart + spareBytes
    this.#spareNext = this.#spareStart
  }

  /** Returns the batch index for the caller's next frame. Sends the waiting frames if there is no place. */
  next(): number {
    const { batch } = this
    if (batch.count === batch.capacity) this.send()
    return batch.count++
  }

  /**
   * Reserves spare memory for one frame with its headroom and padding. Sends the waiting frames if there is no room.
   * The next call except {@link FrameQueue.pad} must be {@link FrameQueue.next}, for that frame.
   */
  spare(size: number): number {
    const room = Math.max(size, this.#headroom + this.#smallest)
    if (this.batch.count === this.batch.capacity || this.#spareNext + room > this.#spareEnd) this.send()
    const offset = this.#spareNext
    this.#spareNext = offset + ((room + FRAME_ALIGNMENT - 1) & -FRAME_ALIGNMENT)
    return offset
  }

  /** Pads a frame with zeros to the link's minimum and returns its new length. There must be room behind the frame. */
  pad(frame: number, length: number): number {
    if (length >= this.#smallest) return length
    const { bytes } = this.#arena
    // A few bytes: a call of `fill` costs more.
    for (let index = length; index < this.#smallest; index++) bytes[frame + index] = 0
    return this.#smallest
  }

  /** Hands everything to the link. Frames that it doesn't take are lost, as in any packet network. */
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
