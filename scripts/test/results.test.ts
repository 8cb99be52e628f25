import { expect, test } from "vitest"
import { countTests, failedTests, slowTests } from "./results.mjs"

test("adds up passed, failed and skipped tests, and test files that could not be loaded", () => {
  const results = {
    numPassedTests: 5,
    numFailedTests: 1,
    numPendingTests: 2,
    numTodoTests: 1,
    testResults: [
      { status: "passed", assertionResults: [{ status: "passed" }] },
      { status: "failed", assertionResults: [{ status: "failed" }] },
      { status: "failed", assertionResults: [] },
    ],
  }
  expect(countTests(results)).toEqual({ passed: 5, failed: 2, skipped: 3 })
})

test("names what failed, with the reason", () => {
  const results = {
    numPassedTests: 1,
    numFailedTests: 1,
    numPendingTests: 0,
    numTodoTests: 0,
    testResults: [
      {
        status: "failed",
        assertionResults: [
          { status: "passed", fullName: "works" },
          { status: "failed", fullName: "fails", failureMessages: ["1 is not 2", "3 is not 4"] },
        ],
      },
      { status: "failed", name: "a.test.ts", message: "no such module", assertionResults: [] },
    ],
  }
  expect(failedTests(results)).toEqual(["fails: 1 is not 2", "a.test.ts: no such module"])
})

test("finds the tests that took more than a fifth of their limit, the worst first", () => {
  const took = (fullName: string, duration: number, limit?: number) => ({
    status: "passed",
    fullName,
    duration,
    ...(limit === undefined ? {} : { meta: { limit } }),
  })
  const results = {
    numPassedTests: 4,
    numFailedTests: 0,
    numPendingTests: 0,
    numTodoTests: 0,
    testResults: [
      { status: "passed", assertionResults: [took("a fifth", 2000, 10_000), took("more", 2001, 10_000)] },
      { status: "passed", assertionResults: [took("most", 9000, 10_000), took("of no limit", 9000)] },
    ],
  }
  expect(slowTests(results)).toEqual([
    { name: "most", seconds: 9, limit: 10 },
    { name: "more", seconds: 2.001, limit: 10 },
  ])
})
