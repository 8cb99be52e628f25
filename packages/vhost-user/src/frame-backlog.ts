import { type Arena, Vectors } from "@demiflow/core"
import type { Native } from "@demiflow/sys"

/** Most frames of one native call. */
const MOST_GIVEN = 1024
const ALIGNMENT = 16

/**
 * Frames that wait until the guest has room for them, whole and in order, each with its virtio header: a ring of fixed
 * size in the arena.
 */
export class FrameBacklog {
  readonly #arena: Arena
  readonly #vectors: Vectors
  readonly #start: number
  readonly #size: number
  readonly #capacity: number
  /** Index of the first frame's vector. The vectors form a ring of their own. */
  #first = 0
  #count = 0
  /** Where the next frame goes, unless that is too near to the end. */
  #next = 0
  #skipped = 0

  /** @param capacity most frames that wait */
  constructor(arena: Arena, size: number, capacity: number) {
    this.#arena = arena
    this.#size = size
    this.#capacity = capacity
    this.#start = arena.reserve(size, 64, "the backlog of a vhost-user link")
    this.#vectors = new Vectors(arena, capacity)
  }

  get isEmpty(): boolean {
    return this.#count === 0
  }

  /** The number of frames that wait. */
  get count(): number {
    return this.#count
  }

  /** The number of frames that the guest has no buffer for, which {@link FrameBacklog.give} skipped. */
  get skipped(): number {
    return this.#skipped
  }

  /** Appends a frame. Returns false, and keeps nothing, if there is no room for it. */
  put(offset: number, length: number): boolean {
    if (this.#count === this.#capacity) return false
    const at = this.#place(length)
    if (at < 0) return false
    const index = this.#first + this.#count
    this.#arena.copy(offset, this.#start + at, length)
    this.#vectors.set(index < this.#capacity ? index : index - this.#capacity, this.#start + at, length)
    this.#count += 1
    this.#next = at + ((length + ALIGNMENT - 1) & -ALIGNMENT)
    return true
  }

  /** Gives frames to a ring for as long as it takes them. Returns 0, or a negated errno if the ring is unusable. */
  give(native: Native, ring: number): number {
    while (this.#count > 0) {
      const some = Math.min(this.#count, this.#capacity - this.#first, MOST_GIVEN)
      const given = native.ringGive(ring, this.#vectors.offset + this.#first * 8, some)
      if (given < 0) return given
      for (let index = 0; index < given; index++) {
        if (this.#vectors.lengthAt(this.#first + index) < 0) this.#skipped += 1
      }
      this.#taken(given)
      if (given < some) break
    }
    return 0
  }

  clear(): void {
    this.#taken(this.#count)
  }

  /** Where `length` bytes fit in one piece, or -1. */
  #place(length: number): number {
    if (this.#count === 0) return length <= this.#size ? 0 : -1
    const first = this.#vectors.offsetAt(this.#first) - this.#start
    if (this.#next <= first) return length <= first - this.#next ? this.#next : -1
    if (length <= this.#size - this.#next) return this.#next
    return length <= first ? 0 : -1
  }

  #taken(count: number): void {
    this.#count -= count
    const first = this.#first + count
    this.#first = first >= this.#capacity ? first - this.#capacity : first
    // Keeps light traffic in the same cache lines.
    if (this.#count === 0) {
      this.#first = 0
      this.#next = 0
    }
  }
}
