/**
 * Debian 12's kernel, Linux 6.1, without what newer ones have: no peek offset for TCP, no UDP segmentation on a tap. The
 * machine is emulated without help of the processor, which makes everything about ten times as slow.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { beforeAll, describe, expect } from "vitest"
import { countTests, failedTests } from "../../scripts/test/results.mjs"
import { testWith } from "../harness/machine.ts"
import { findKernel } from "../qemu/kernel.ts"
import { type Outcome, runJobs } from "./machine.ts"

/** Five times what the machine takes on two idle cores, milliseconds. */
const LIMIT = 2_400_000
const SLOWNESS = 10

const vitest = "node node_modules/.bin/vitest run --reporter=verbose --reporter=json --maxWorkers 2"
const slow = `CI=true NO_COLOR=1 DEMIFLOW_SLOWNESS=${SLOWNESS}`
const jobs = {
  demo: "NO_COLOR=1 node scripts/demo/main.mjs 20",
  core: `${slow} ${vitest} --config e2e/core.vitest.config.ts --outputFile.json=/results/core.json`,
}

const test = testWith("qemu-system-x86_64", "mke2fs", "depmod", "apt-get", "dpkg-deb")

describe("on Debian 12's kernel", () => {
  let outcome: Outcome
  const read = (name: string): string => readFileSync(join(outcome.results, name), "utf8")

  beforeAll(async () => {
    outcome = await runJobs(await findKernel(), jobs, LIMIT - 60_000)
    console.log(outcome.console)
  }, LIMIT)

  test("every case of the core passes, and none is skipped", () => {
    const results = JSON.parse(read("core.json"))
    const { passed, failed, skipped } = countTests(results)
    console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`)
    expect(failedTests(results)).toEqual([])
    expect({ failed, skipped, status: read("core.status") }).toEqual({ failed: 0, skipped: 0, status: "0\n" })
    expect(passed).toBeGreaterThan(100)
  })

  test("the demo works", () => {
    expect(read("demo.status")).toBe("0\n")
    expect(outcome.console).toContain("Everything worked.")
  })
})
