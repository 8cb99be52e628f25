/** Paths that lose, delay, reorder and duplicate. */
import type { WireOptions } from "./wire.ts"

/** An impaired path. */
export interface Impairment extends WireOptions {
  readonly name: string
  /** Bytes of a transfer that takes seconds, not minutes, on such a path. */
  readonly bytes: number
}

export const impairments: readonly Impairment[] = [
  { name: "loss of 1 %", seed: 101, loss: 0.01, delay: 1, bytes: 3_000_000 },
  { name: "a delay of 40 ms with jitter", seed: 102, delay: 40, jitter: 10, bytes: 5_000_000 },
  { name: "reordering of 5 %", seed: 103, delay: 2, reorder: 0.05, bytes: 2_000_000 },
  {
    name: "loss, reordering and duplication together",
    seed: 104,
    loss: 0.005,
    delay: 3,
    jitter: 2,
    reorder: 0.02,
    duplicate: 0.02,
    bytes: 2_000_000,
  },
]

type Scenario = "download" | "upload" | "echo"
/** The transfers over each of them, by scenarios of the TCP client. */
export const scenarios: readonly Scenario[] = ["download", "upload", "echo"]
