/**
 * What is read of a result file of vitest's JSON reporter.
 * @typedef {object} Results
 * @property {number} numPassedTests
 * @property {number} numFailedTests
 * @property {number} numPendingTests
 * @property {number} numTodoTests
 * @property {{ status: string, assertionResults: { status: string }[] }[]} testResults One for each test file.
 */

/**
 * How many tests passed, failed and were skipped. A test file that could not be loaded holds no test: it
 * counts as one failure.
 * @param {Results} results
 */
export function countTests(results) {
  const broken = results.testResults.filter(
    (file) => file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed"),
  )
  return {
    passed: results.numPassedTests,
    failed: results.numFailedTests + broken.length,
    skipped: results.numPendingTests + results.numTodoTests,
  }
}
