/** Loss, delay, reordering and duplication between two namespaces, by `wire/wire.c`. */
import { compiled } from "./compile.ts"
import { Program } from "./processes.ts"

export interface WireOptions {
  /** Seed of the wire's decisions; the same seed makes the same ones. */
  readonly seed?: number
  /** Probability that a frame is lost, 0 to 1. */
  readonly loss?: number
  /** Milliseconds, one way. */
  readonly delay?: number
  /** Milliseconds, at most, on top of the delay; keeps the order. */
  readonly jitter?: number
  /** Probability that a frame skips the delay and overtakes others. */
  readonly reorder?: number
  /** Probability that a frame arrives twice. */
  readonly duplicate?: number
}

/** A wire's counts. */
export interface WireCounts {
  readonly carried: number
  readonly lost: number
  readonly overtaken: number
  readonly duplicated: number
  readonly overflowed: number
}

export interface Wire {
  /** Removes both devices. Returns the wire's counts. */
  stop(): Promise<WireCounts>
}

/** Path of a network namespace, and the name of the tap device to make in it. */
export type WireEnd = readonly [string, string]

export async function startWire(options: WireOptions, one: WireEnd, other: WireEnd): Promise<Wire> {
  const { seed = 1, loss = 0, delay = 0, jitter = 0, reorder = 0, duplicate = 0 } = options
  const numbers = [seed, loss, delay, jitter, reorder, duplicate].map(String)
  const program = new Program([compiled("wire"), ...numbers, ...one, ...other])
  await program.printed(/^ready$/m)
  let counts: Promise<WireCounts> | undefined
  return {
    stop() {
      counts ??= program.stop().then(({ stdout }) => JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as WireCounts)
      return counts
    },
  }
}
