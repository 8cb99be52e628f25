import type { Arena, Random } from "@demiflow/core"
import { checkResult } from "./errno.ts"
import type { Native } from "./native.ts"

const WORDS = 256

/** The kernel's random numbers, fetched 1 KiB at a time. */
export class SystemRandom implements Random {
  readonly #native: Native
  readonly #words: Int32Array
  readonly #offset: number
  #next = WORDS

  constructor(native: Native, arena: Arena) {
    this.#native = native
    this.#words = arena.words
    this.#offset = arena.reserve(WORDS * 4, 64, "random numbers of the system")
  }

  int32(): number {
    if (this.#next === WORDS) {
      checkResult(this.#native.getRandom(this.#offset, WORDS * 4), "get random numbers from the kernel")
      this.#next = 0
    }
    const index = (this.#offset >> 2) + this.#next
    this.#next += 1
    const value = this.#words[index]
    // Erased, so that a number that was handed out can't be read here afterwards.
    this.#words[index] = 0
    return value
  }
}
