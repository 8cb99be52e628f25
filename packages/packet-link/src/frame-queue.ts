/**
 * Frames that wait, in a ring of fixed size in the arena: each in a slot, behind its length.
 *
 * Frames that were handed out stay in place until the next call that hands some out. The ring has room for both: those
 * that wait and those handed out, each at most {@link FrameQueue.limit} bytes, and the end of the ring that a frame
 * didn't fit in. So a frame within the limit always finds a place, and nothing has to be searched.
 */
import type { Arena, FrameBatch } from "@demiflow/core"

const ALIGNMENT = 64
const LENGTH_BYTES = 4
/** In place of a length: the next slot is at the start of the ring. */
const WRAPPED = -1

/** Bytes of a slot that holds a frame of `length` bytes. */
export function slotBytes(length: number): number {
  return (length + LENGTH_BYTES + ALIGNMENT - 1) & -ALIGNMENT
}

/** Arena bytes that a queue reserves: slots of up to `limit` bytes that wait, and of up to `held` bytes handed out. */
export function frameQueueBytes(limit: number, held: number, longest: number): number {
  return ((limit + held + ALIGNMENT - 1) & -ALIGNMENT) + slotBytes(longest)
}

/** A queue of frames. */
export class FrameQueue {
  readonly #words: Int32Array
  readonly #limit: number
  readonly #start: number
  readonly #end: number
  #read: number
  #write: number
  #waitingBytes = 0
  /** Arena offset of the frame that {@link FrameQueue.shift} handed out. */
  offset = 0
  /** Its bytes. */
  length = 0

  /**
   * @param limit most bytes of slots that wait
   * @param held most bytes of slots that are handed out at a time
   * @param longest bytes of the longest frame
   */
  constructor(arena: Arena, limit: number, held: number, longest: number) {
    const size = frameQueueBytes(limit, held, longest)
    this.#words = arena.words
    this.#limit = limit
    this.#start = arena.reserve(size, ALIGNMENT, "the queue of a packet link")
    this.#end = this.#start + size
    this.#read = this.#start
    this.#write = this.#start
  }

  get isEmpty(): boolean {
    return this.#waitingBytes === 0
  }

  /** True if a frame of this length may be added. */
  hasRoom(length: number): boolean {
    return this.#waitingBytes + slotBytes(length) <= this.#limit
  }

  /** Adds a frame, whose bytes the caller writes to the arena offset that is returned; -1 if there is no room. */
  add(length: number): number {
    const size = slotBytes(length)
    if (this.#waitingBytes + size > this.#limit) return -1
    let slot = this.#write
    if (slot + size > this.#end) {
      if (slot < this.#end) this.#words[slot >> 2] = WRAPPED
      slot = this.#start
    }
    this.#words[slot >> 2] = length
    this.#write = slot + size
    this.#waitingBytes += size
    return slot + LENGTH_BYTES
  }

  /** Fills a batch and returns its count. Frames stay valid until the next call. */
  take(batch: FrameBatch): number {
    let count = 0
    while (count < batch.capacity && this.shift()) batch.setPlain(count++, this.offset, this.length)
    batch.count = count
    return count
  }

  /** Hands out the oldest frame, in {@link FrameQueue.offset} and {@link FrameQueue.length}. False if there is none. */
  shift(): boolean {
    if (this.#waitingBytes === 0) return false
    let slot = this.#read
    if (slot === this.#end || this.#words[slot >> 2] === WRAPPED) slot = this.#start
    this.offset = slot + LENGTH_BYTES
    this.length = this.#words[slot >> 2]
    const size = slotBytes(this.length)
    this.#read = slot + size
    this.#waitingBytes -= size
    return true
  }

  /**
   * Begins at the start again, which keeps light traffic in few pages. Only for an empty queue whose frames are done.
   */
  rewind(): void {
    this.#read = this.#start
    this.#write = this.#start
  }

  clear(): void {
    this.#waitingBytes = 0
    this.#read = this.#write
  }
}
