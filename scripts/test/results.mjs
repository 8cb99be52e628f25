/**
 * The used fields of a result file of vitest's JSON reporter.
 * @typedef {object} Results
 * @property {number} numPassedTests
 * @property {number} numFailedTests
 * @property {number} numPendingTests
 * @property {number} numTodoTests
 * @property {FileResults[]} testResults One for each test file.
 *
 * @typedef {object} FileResults
 * @property {string} status
 * @property {TestResult[]} assertionResults
 * @property {string} [name] Path.
 * @property {string} [message] Why it could not be loaded.
 *
 * @typedef {object} TestResult
 * @property {string} status
 * @property {string} [fullName]
 * @property {string[]} [failureMessages]
 * @property {number} [duration] Milliseconds.
 * @property {{ limit?: number }} [meta] Written by `record-limit.ts`.
 */

/** The part of its limit that a case may take on an idle machine. */
const PART = 5

/** @param {Results} results */
function brokenFiles({ testResults }) {
  return testResults.filter(
    (file) => file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed"),
  )
}

/**
 * The tests that failed and the files that could not be loaded, each with its first message.
 * @param {Results} results
 */
export function failedTests(results) {
  const tests = results.testResults.flatMap((file) => file.assertionResults).filter((test) => test.status === "failed")
  return [
    ...tests.map(({ fullName = "", failureMessages: [message = ""] = [] }) => `${fullName}: ${message}`),
    ...brokenFiles(results).map(({ name = "", message = "" }) => `${name}: ${message}`),
  ]
}

/**
 * How many tests passed, failed and were skipped. A test file that could not be loaded holds no test: it
 * counts as one failure.
 * @param {Results} results
 */
export function countTests(results) {
  return {
    passed: results.numPassedTests,
    failed: results.numFailedTests + brokenFiles(results).length,
    skipped: results.numPendingTests + results.numTodoTests,
  }
}

/**
 * The tests that took more than a fifth of their limit, in seconds; those with the largest part first.
 * @param {Results} results
 */
export function slowTests(results) {
  return results.testResults
    .flatMap((file) => file.assertionResults)
    .map(({ fullName = "", duration = 0, meta }) => ({
      name: fullName,
      seconds: duration / 1000,
      limit: (meta?.limit ?? Number.POSITIVE_INFINITY) / 1000,
    }))
    .filter(({ seconds, limit }) => seconds * PART > limit)
    .sort((one, other) => other.seconds / other.limit - one.seconds / one.limit)
}
