/**
 * Payload from the guest that the host's socket didn't take at once.
 *
 * It was inside the window that we advertised, so it is never dropped: it is kept here and handed over when the socket
 * is writable. There is one pool of fixed size for all connections, in blocks; each connection has a chain of them. The
 * windows that we advertise bound what is kept, and shrink as the pool fills.
 */
import type { Arena, Vectors } from "@demiflow/core"

/** Bytes in a block. */
export const HOLD_BLOCK_SIZE = 16_384

/** Head of a connection's chain. */
export interface Held {
  /** Bytes kept. */
  heldBytes: number
  /** First and last block; -1 if none. */
  heldFirst: number
  heldLast: number
  /** Bytes of the first block already handed over. */
  heldStart: number
}

export class HoldPool {
  readonly #arena: Arena
  readonly #base: number
  readonly #next: Int32Array
  readonly blocks: number
  #firstFree = 0
  #freeBlocks: number

  /** @param size bytes, rounded down to whole blocks */
  constructor(arena: Arena, size: number) {
    this.#arena = arena
    this.blocks = Math.floor(size / HOLD_BLOCK_SIZE)
    this.#base = arena.reserve(this.blocks * HOLD_BLOCK_SIZE, 64, "the handler of TCP")
    this.#freeBlocks = this.blocks
    this.#next = Int32Array.from({ length: this.blocks }, (_, block) => (block + 1 < this.blocks ? block + 1 : -1))
    if (this.blocks === 0) this.#firstFree = -1
  }

  /** Bytes that can still be kept. */
  get free(): number {
    return this.#freeBlocks * HOLD_BLOCK_SIZE
  }

  /** Keeps `length` bytes at an arena offset. Returns how many of them there was room for. */
  keep(held: Held, offset: number, length: number): number {
    let kept = 0
    while (kept < length) {
      const used = held.heldLast < 0 ? HOLD_BLOCK_SIZE : this.#usedInLast(held)
      if (used === HOLD_BLOCK_SIZE && !this.#extend(held)) break
      const start = used === HOLD_BLOCK_SIZE ? 0 : used
      const part = Math.min(length - kept, HOLD_BLOCK_SIZE - start)
      this.#arena.copy(offset + kept, this.#base + held.heldLast * HOLD_BLOCK_SIZE + start, part)
      held.heldBytes += part
      kept += part
    }
    return kept
  }

  /** Fills vectors from index 0 with the kept bytes, oldest first. Returns how many vectors it filled. */
  fill(held: Held, vectors: Vectors): number {
    let count = 0
    let remaining = held.heldBytes
    let start = held.heldStart
    for (let block = held.heldFirst; block >= 0 && count < vectors.capacity; block = this.#next[block]) {
      const length = Math.min(HOLD_BLOCK_SIZE - start, remaining)
      if (length === 0) break
      vectors.set(count++, this.#base + block * HOLD_BLOCK_SIZE + start, length)
      remaining -= length
      start = 0
    }
    return count
  }

  /** Frees the oldest `length` bytes, which were handed over. */
  drop(held: Held, length: number): void {
    held.heldBytes -= length
    held.heldStart += length
    while (held.heldFirst >= 0 && (held.heldStart >= HOLD_BLOCK_SIZE || held.heldBytes === 0)) {
      const block = held.heldFirst
      held.heldFirst = block === held.heldLast ? -1 : this.#next[block]
      this.#next[block] = this.#firstFree
      this.#firstFree = block
      this.#freeBlocks++
      held.heldStart = held.heldFirst < 0 ? 0 : held.heldStart - HOLD_BLOCK_SIZE
    }
    if (held.heldFirst < 0) held.heldLast = -1
  }

  /** Frees everything that is kept. */
  clear(held: Held): void {
    this.drop(held, held.heldBytes)
  }

  #usedInLast(held: Held): number {
    return (held.heldStart + held.heldBytes) % HOLD_BLOCK_SIZE || HOLD_BLOCK_SIZE
  }

  #extend(held: Held): boolean {
    const block = this.#firstFree
    if (block < 0) return false
    this.#firstFree = this.#next[block]
    this.#freeBlocks--
    this.#next[block] = -1
    if (held.heldLast < 0) held.heldFirst = block
    else this.#next[held.heldLast] = block
    held.heldLast = block
    return true
  }
}
