import type { Arena, Vectors } from "@demiflow/core"

/** The bytes that wait to be written to a stream: a ring of fixed size in the arena. */
export class Backlog {
  readonly #arena: Arena
  readonly #start: number
  readonly #size: number
  #first = 0
  #length = 0

  constructor(arena: Arena, size: number) {
    this.#arena = arena
    this.#start = arena.reserve(size, 64, "the backlog of a stream link")
    this.#size = size
  }

  get isEmpty(): boolean {
    return this.#length === 0
  }

  /** The number of waiting bytes. */
  get length(): number {
    return this.#length
  }

  /** Appends bytes of the arena. Returns false, and keeps nothing, if there is no room for all of them. */
  put(offset: number, length: number): boolean {
    if (length > this.#size - this.#length) return false
    const behind = this.#first + this.#length
    const at = behind >= this.#size ? behind - this.#size : behind
    const untilEnd = Math.min(length, this.#size - at)
    this.#arena.copy(offset, this.#start + at, untilEnd)
    if (untilEnd < length) this.#arena.copy(offset + untilEnd, this.#start, length - untilEnd)
    this.#length += length
    return true
  }

  /** Describes all waiting bytes in at most two vectors. Returns their number. */
  describe(vectors: Vectors): number {
    if (this.#length === 0) return 0
    const untilEnd = Math.min(this.#length, this.#size - this.#first)
    vectors.set(0, this.#start + this.#first, untilEnd)
    if (untilEnd === this.#length) return 1
    vectors.set(1, this.#start, this.#length - untilEnd)
    return 2
  }

  /** Removes bytes from the front, once they have been written. */
  taken(length: number): void {
    this.#length -= length
    const first = this.#first + length
    this.#first = first >= this.#size ? first - this.#size : first
    // Keeps light traffic in the same cache lines.
    if (this.#length === 0) this.#first = 0
  }

  clear(): void {
    this.#first = 0
    this.#length = 0
  }
}
