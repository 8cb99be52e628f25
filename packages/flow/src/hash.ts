/**
 * The keyed hash of flows: HalfSipHash-1-3 (Aumasson and Bernstein's SipHash with 32-bit words; the variant that Linux
 * uses for hash tables). It is keyed, so that a guest that chooses its own addresses and ports can't aim at one bucket,
 * and uses 32-bit arithmetic, which V8 runs without allocating.
 */

/** A hash function from `count` words of an array to 32 bits. */
export class KeyedHash {
  readonly #key0: number
  readonly #key1: number

  /** The key must come from a source that a guest can't guess. */
  constructor(key0: number, key1: number) {
    this.#key0 = key0 | 0
    this.#key1 = key1 | 0
  }

  /** Hashes words `start` to `start + count - 1` to a signed 32-bit integer. */
  hash(words: Int32Array, start: number, count: number): number {
    let v0 = this.#key0
    let v1 = this.#key1
    let v2 = this.#key0 ^ 0x6c796765
    let v3 = this.#key1 ^ 0x74656462
    for (let index = start; index <= start + count; index++) {
      // The last block contains the length in bytes, as SipHash prescribes.
      const word = index < start + count ? words[index] : (count << 26) | 0
      v3 ^= word
      v0 = (v0 + v1) | 0
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
      v0 = (v0 << 16) | (v0 >>> 16)
      v2 = (v2 + v3) | 0
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
      v0 = (v0 + v3) | 0
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
      v2 = (v2 + v1) | 0
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
      v2 = (v2 << 16) | (v2 >>> 16)
      v0 ^= word
    }
    v2 ^= 0xff
    for (let round = 0; round < 3; round++) {
      v0 = (v0 + v1) | 0
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
      v0 = (v0 << 16) | (v0 >>> 16)
      v2 = (v2 + v3) | 0
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
      v0 = (v0 + v3) | 0
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
      v2 = (v2 + v1) | 0
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
      v2 = (v2 << 16) | (v2 >>> 16)
    }
    return v1 ^ v3
  }
}
