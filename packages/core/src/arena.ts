/**
 * One block of memory for everything that moves: frames, payloads, and the vectors that system calls take.
 *
 * Places in it are named by integer byte offsets, which cost nothing to pass to a native call; the kernel reads and
 * writes payload there directly. Regions are reserved at start and never freed: with constant sizes, the data path
 * needs no allocator. What is to be closed again, a stack for example, reserves its regions in a part, which is given
 * back as a whole.
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
  /** Internet checksum over arena memory. A platform with vector instructions replaces it by its own function. */
  sum: SumFunction
  /** Copy inside the arena. A platform may replace it by its own function. */
  copy: CopyFunction
  readonly #start: number
  #end: number
  #next: number
  /** Parts given back that something else was reserved behind. They don't touch. */
  #free: Arena[] = []

  /**
   * @param size bytes, a multiple of 8
   * @param whole for {@link Arena.part}: the arena whose memory this one shares
   */
  constructor(size: number, whole?: Arena, start = 0) {
    this.buffer = whole?.buffer ?? new ArrayBuffer(size)
    this.bytes = whole?.bytes ?? new Uint8Array(this.buffer)
    this.view = whole?.view ?? new DataView(this.buffer)
    this.words = whole?.words ?? new Int32Array(this.buffer)
    this.sum = whole?.sum ?? ((offset, length, initial) => sumBytes(this.view, offset, length, initial))
    this.copy =
      whole?.copy ??
      ((fromOffset, toOffset, length) => {
        this.bytes.copyWithin(toOffset, fromOffset, fromOffset + length)
      })
    this.#start = start
    this.#next = start
    this.#end = start + size
  }

  /** Bytes not yet reserved, behind those that are. */
  get remaining(): number {
    return this.#end - this.#next
  }

  /**
   * Reserves `size` bytes, a multiple of 64, as an arena over the same memory: offsets in it are offsets in this one.
   * Its functions are those that this arena has now. Throws `ArenaExhaustedError`. {@link Arena.giveBack} ends it.
   *
   * @param asker what the part is for, to be named in the error
   */
  part(size: number, asker?: string): Arena {
    const index = this.#free.findIndex((free) => free.#end - free.#start >= size)
    if (index < 0) return new Arena(size, this, this.reserve(size, 64, asker))
    const [free] = this.#free.splice(index, 1)
    const rest = free.#end - free.#start - size
    if (rest > 0) this.#free.push(new Arena(rest, this, free.#start + size))
    return new Arena(size, this, free.#start)
  }

  /**
   * Ends a part of this arena: its memory may be reserved again. Nothing may use it any more. Does nothing for a part
   * that was given back before.
   */
  giveBack(part: Arena): void {
    let { start, end } = { start: part.#start, end: part.#end }
    if (start === end) return
    part.#end = part.#next = part.#start
    this.#free = this.#free.filter((free) => {
      if (free.#end !== start && free.#start !== end) return true
      start = Math.min(start, free.#start)
      end = Math.max(end, free.#end)
      return false
    })
    if (end === this.#next) this.#next = start
    else this.#free.push(new Arena(end - start, this, start))
  }

  /** Calls a function that reserves regions. If it throws, these regions may be reserved again. */
  attempt<Result>(reserve: () => Result): Result {
    const next = this.#next
    try {
      return reserve()
    } catch (error) {
      this.#next = Math.min(this.#next, next)
      this.#free = this.#free.filter((free) => {
        if (free.#end < this.#next) return true
        this.#next = Math.min(this.#next, free.#start)
        return false
      })
      throw error
    }
  }

  /**
   * Reserves `size` bytes for good and returns their offset. Throws `ArenaExhaustedError` if the arena is too small for
   * what is assembled on it.
   *
   * @param alignment power of two, in bytes
   * @param asker what the region is for, to be named in the error: `a stack`, for example
   */
  reserve(size: number, alignment = 64, asker?: string): number {
    const offset = (this.#next + alignment - 1) & -alignment
    if (offset + size > this.#end) throw new ArenaExhaustedError(size, this.remaining, asker)
    this.#next = offset + size
    return offset
  }
}

/** The arena has no room for a region that is requested at start. */
export class ArenaExhaustedError extends Error {
  readonly code = "ERR_ARENA_EXHAUSTED"
  /** Bytes of the region. */
  readonly size: number
  /** Bytes that the arena has left. */
  readonly remaining: number
  /** What the region would have been for, if that is known. */
  readonly asker: string | undefined

  /** @param remedy what to do */
  constructor(size: number, remaining: number, asker?: string, remedy = "create it with a larger size") {
    super(`The arena has ${remaining} bytes left, and ${asker ?? "somebody"} needs ${size}: ${remedy}`)
    this.name = "ArenaExhaustedError"
    this.size = size
    this.remaining = remaining
    this.asker = asker
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
    this.offset = arena.reserve(capacity * 8, 8, "vectors of payload")
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
