/**
 * One block of memory for everything that moves: frames, payloads, and the vectors that system calls take.
 *
 * Everything names places in it by integer byte offsets, which cost nothing to pass to a native call; the kernel reads
 * and writes payload there directly. Regions are reserved at start and never given back: what is constant in size
 * needs no allocator on the data path.
 */
import { sumBytes } from "./checksum.ts"

/** Adds `length` bytes at an arena offset to a partial Internet checksum; both sums are folded to 16 bits. */
export type SumFunction = (offset: number, length: number, initial: number) => number

/** Moves `length` bytes inside the arena; the ranges may overlap. */
export type CopyFunction = (fromOffset: number, toOffset: number, length: number) => void

/** Memory shared by the stack, the link and the host. */
export class Arena {
  readonly buffer: ArrayBuffer
  readonly bytes: Uint8Array
  readonly view: DataView
  /** The same memory as 32-bit words in the machine's byte order; index is the byte offset divided by four. */
  readonly words: Int32Array
  /** Internet checksum over arena memory. A platform with vector instructions puts its own function here. */
  sum: SumFunction
  /** Copy inside the arena. A platform may put its own function here. */
  copy: CopyFunction
  #next = 0

  /** @param size bytes, a multiple of 8 */
  constructor(size: number) {
    this.buffer = new ArrayBuffer(size)
    this.bytes = new Uint8Array(this.buffer)
    this.view = new DataView(this.buffer)
    this.words = new Int32Array(this.buffer)
    this.sum = (offset, length, initial) => sumBytes(this.view, offset, length, initial)
    this.copy = (fromOffset, toOffset, length) => {
      this.bytes.copyWithin(toOffset, fromOffset, fromOffset + length)
    }
  }

  /** Bytes not yet reserved. */
  get remaining(): number {
    return this.buffer.byteLength - this.#next
  }

  /**
   * Sets `size` bytes aside for good and returns their offset. Throws `ArenaExhaustedError`: the arena was made too
   * small for what is assembled on it.
   *
   * @param alignment power of two, in bytes
   */
  reserve(size: number, alignment = 64): number {
    const offset = (this.#next + alignment - 1) & -alignment
    if (offset + size > this.buffer.byteLength) throw new ArenaExhaustedError(size, this.remaining)
    this.#next = offset + size
    return offset
  }
}

/** The arena has no room for a region that is asked for at start. */
export class ArenaExhaustedError extends Error {
  readonly code = "ERR_ARENA_EXHAUSTED"

  constructor(size: number, remaining: number) {
    super(`The arena has ${remaining} bytes left and ${size} are needed: create it with a larger size`)
    this.name = "ArenaExhaustedError"
  }
}

/** A list of (offset, length) pairs in the arena, as vectored system calls take it. */
export class Vectors {
  /** Offset of the first pair: a 32-bit offset followed by a 32-bit length, machine byte order. */
  readonly offset: number
  readonly capacity: number
  readonly #words: Int32Array
  readonly #base: number

  constructor(arena: Arena, capacity: number) {
    this.offset = arena.reserve(capacity * 8, 8)
    this.capacity = capacity
    this.#words = arena.words
    this.#base = this.offset >> 2
  }

  /** Fills pair `index` (0 to capacity - 1). */
  set(index: number, offset: number, length: number): void {
    this.#words[this.#base + index * 2] = offset
    this.#words[this.#base + index * 2 + 1] = length
  }

  offsetAt(index: number): number {
    return this.#words[this.#base + index * 2]
  }

  lengthAt(index: number): number {
    return this.#words[this.#base + index * 2 + 1]
  }
}
