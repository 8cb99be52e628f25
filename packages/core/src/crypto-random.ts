import type { Random } from "./clock.ts"

const WORDS = 256

/** What every runtime has of Web Crypto; its types are not among those of the language. */
const { crypto } = globalThis as unknown as { readonly crypto: { getRandomValues(words: Int32Array): void } }

/** The runtime's cryptographic random numbers (Web Crypto), fetched 1 KiB at a time. */
export class CryptoRandom implements Random {
  readonly #words = new Int32Array(WORDS)
  #next = WORDS

  int32(): number {
    if (this.#next === WORDS) {
      crypto.getRandomValues(this.#words)
      this.#next = 0
    }
    const value = this.#words[this.#next]
    // Erased, so that a number that was handed out can't be read here afterwards.
    this.#words[this.#next++] = 0
    return value
  }
}
