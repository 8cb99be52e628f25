import { environmentVariable, type SimulationReport, seeds, simulate } from "@demiflow/testkit"
import { describe, expect, it } from "vitest"
import { tcp } from "./index.ts"

/** Runs; more on request: DEMIFLOW_RUNS=100000, and single ones with DEMIFLOW_SEED. */
const RUNS = Number(environmentVariable("DEMIFLOW_RUNS") ?? 600)
const GROUP = 100

describe("TCP, simulated", () => {
  const all = seeds(RUNS)
  for (let start = 0; start < all.length; start += GROUP) {
    const group = all.slice(start, start + GROUP)
    it(`seeds ${group[0]} to ${group.at(-1)}: every byte once and in order, and nothing left behind`, () => {
      const reports: SimulationReport[] = []
      for (const seed of group) {
        reports.push(
          simulate(seed, {
            plugins: (random) => [
              tcp({
                holdPoolSize: random.pick([64 << 10, 1 << 20]),
                acknowledgeOnAcceptRtt: random.pick([0, 1_000, 1_000_000]),
              }),
            ],
          }),
        )
      }
      // A simulation in which nothing gets through would find nothing.
      if (group.length < GROUP) return
      expect(reports.reduce((sum, { completed }) => sum + completed, 0)).toBeGreaterThan(GROUP / 2)
      expect(reports.reduce((sum, { failed }) => sum + failed, 0)).toBeGreaterThan(GROUP / 20)
    }, 600_000)
  }
})
