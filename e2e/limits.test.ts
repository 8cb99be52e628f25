/** Waiting in vain ends before the case's limit, and the output is shown. */
import { afterAll, beforeAll, expect, test } from "vitest"
import { eventually, Program, run } from "./harness/processes.ts"

const hangs = ["sh", "-c", "echo the last words; exec sleep 1000"]

let lasting: Program
beforeAll(() => {
  lasting = new Program(hangs)
})
afterAll(() => lasting.kill())

test("programs, awaited lines and probes give up while the case has time left", async ({ task }) => {
  // The case uses its whole limit on purpose, and so takes more than a fifth of it.
  task.meta.limit = Number.POSITIVE_INFINITY
  const words = /the last words/
  await Promise.all([
    expect(run(hangs)).rejects.toThrow(words),
    expect(lasting.printed(/never/)).rejects.toThrow(words),
    expect(eventually("what never comes", () => undefined)).rejects.toThrow(/what never comes/),
  ])
}, 6_000)

test("what a hook has started is still there", () => {
  expect(lasting.ended).toBe(false)
})
