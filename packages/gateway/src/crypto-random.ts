import type { Random } from "@demiflow/core"

const WORDS = 256

/** The runtime's cryptographic random numbers (Web Crypto), fetched 1 KiB at a time. */
export class CryptoRandom implements Random {
  readonly #words = new Int32Array(WORDS)
  #next = WORDS

  int32(): number {
    if (this.#next === WORDS) {
      globalThis.crypto.getRandomValues(this.#words)
      this.#next = 0
    }
    const value = this.#words[this.#next]
    // Erased, so that a number that was handed out can't be read here afterwards.
    this.#words[this.#next++] = 0
    return value
  }
}
