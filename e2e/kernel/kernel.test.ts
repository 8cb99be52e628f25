/**
 * Debian 12's kernel, Linux 6.1, without what newer ones have: no peek offset for TCP, no UDP segmentation on a tap.
 * The machine is emulated without help of the processor: about ten times as slow as others, and a few times slower by
 * its own clock.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { beforeAll, describe, expect } from "vitest"
import { countTests, failedTests } from "../../scripts/test/results.mjs"
import { testWith } from "../harness/machine.ts"
import { findKernel } from "../qemu/kernel.ts"
import { coreTests, type Jobs, type Outcome, runJobs } from "./machine.ts"

/** Five times the machine's duration on two idle cores, milliseconds. */
const LIMIT = 3_600_000

/** Two machines, because each has one processor. */
const machines: readonly Jobs[] = [
  { demo: "NO_COLOR=1 node scripts/demo/main.mjs 20", core: coreTests("--shard=1/2") },
  { core: coreTests("--shard=2/2") },
]

const test = testWith("qemu-system-x86_64", "mke2fs", "depmod", "apt-get", "dpkg-deb")

describe("on Debian 12's kernel", () => {
  let outcomes: readonly Outcome[] = []
  const read = ({ results }: Outcome, name: string): string => readFileSync(join(results, name), "utf8")

  beforeAll(async () => {
    const kernel = await findKernel()
    outcomes = await Promise.all(machines.map((jobs) => runJobs(kernel, jobs, LIMIT - 60_000)))
  }, LIMIT)

  for (const half of [0, 1]) {
    test(`every case of the core passes, and none is skipped: half ${half + 1}`, () => {
      const outcome = outcomes[half]
      console.log(outcome.console)
      const results = JSON.parse(read(outcome, "core.json"))
      const { passed, failed, skipped } = countTests(results)
      console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`)
      expect(failedTests(results)).toEqual([])
      expect({ failed, skipped, status: read(outcome, "core.status") }).toEqual({
        failed: 0,
        skipped: 0,
        status: "0\n",
      })
      expect(passed).toBeGreaterThan(50)
    })
  }

  test("the demo works", () => {
    const [first] = outcomes
    expect(read(first, "demo.status")).toBe("0\n")
    expect(first.console).toContain("Everything worked.")
  })
})
