/**
 * Reproducible random numbers.
 *
 * A test that draws its schedule from a seed prints the seed when it fails. With the seed in the environment variable
 * `DEMIFLOW_SEED` the run is repeated.
 */
import type { Random } from "@demiflow/core"

/** Uniform pseudo-random numbers from a 32-bit seed (sfc32 by Chris Doty-Humphrey). Not for secrets. */
export class SeededRandom implements Random {
  readonly seed: number
  #a: number
  #b: number
  #c: number
  #counter = 1

  /** @param seed any integer; its lower 32 bits count */
  constructor(seed: number) {
    this.seed = seed >>> 0
    this.#a = 0
    this.#b = seed | 0
    this.#c = 0x9e3779b9 | 0
    for (let round = 0; round < 12; round++) this.int32()
  }

  int32(): number {
    const result = (((this.#a + this.#b) | 0) + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + result) | 0
    return result
  }

  /** An integer from 0 to `bound - 1`; 0 if there is none. */
  below(bound: number): number {
    return Math.floor((((this.int32() >>> 0) + 0.5) / 0x1_0000_0000) * Math.max(0, bound))
  }

  /** An integer from `first` to `last`, both included. */
  between(first: number, last: number): number {
    return first + this.below(last - first + 1)
  }

  /** True with this probability, 0 to 1. Draws nothing for 0. */
  chance(probability: number): boolean {
    return probability > 0 && (this.int32() >>> 0) / 0x1_0000_0000 < probability
  }

  /** One of the values, of which there must be at least one. */
  pick<Value>(values: readonly Value[]): Value {
    return values[this.below(values.length)]
  }

  /** `length` bytes. */
  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.int32() & 0xff)
  }

  /** An independent generator, so that one party's draws don't shift another's. */
  fork(): SeededRandom {
    return new SeededRandom(this.int32())
  }
}

/**
 * The seeds to run: `count` of them from `first` on; those listed in the environment variable `DEMIFLOW_SEED` (comma
 * separated) instead, if it is set.
 */
export function seeds(count: number, first = 1): number[] {
  const wanted = environmentVariable("DEMIFLOW_SEED")
  if (wanted) return wanted.split(",").map((seed) => Number(seed) >>> 0)
  return Array.from({ length: count }, (_, index) => first + index)
}

/** Runs the function with a generator from the seed. Errors are rethrown with the seed to repeat them. */
export function withSeed<Result>(seed: number, run: (random: SeededRandom) => Result): Result {
  try {
    return run(new SeededRandom(seed))
  } catch (error) {
    throw withMore(error, `Run it again with DEMIFLOW_SEED=${seed >>> 0}`)
  }
}

/** The error with another line in its message. */
export function withMore(error: unknown, line: string): Error {
  const whole = error instanceof Error ? error : new Error(String(error))
  whole.message += `\n${line}`
  return whole
}

/** An environment variable; undefined where there is no environment. */
export function environmentVariable(name: string): string | undefined {
  const host = globalThis as { process?: { env?: Record<string, string | undefined> } }
  return host.process?.env?.[name]
}
