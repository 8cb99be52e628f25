import { expect, test } from "vitest"
import { countTests } from "./results.mjs"

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
