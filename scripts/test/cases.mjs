/**
 * Runs cases one after the other, and prints the outcome of each. Returns true if at least one ran and all passed.
 * @param {Record<string, () => void | Promise<void>>} cases by their titles
 * @param {readonly string[]} words only what has one of them in its title; without any, all
 */
export async function runCases(cases, words) {
  const asked = Object.entries(cases).filter(
    ([title]) => words.length === 0 || words.some((word) => title.includes(word)),
  )
  if (asked.length === 0) console.log(`FAILED: no title has one of these words: ${words.join(", ")}`)
  let failures = 0
  for (const [title, run] of asked) {
    const began = performance.now()
    let outcome = "passed"
    try {
      await run()
    } catch (error) {
      outcome = "FAILED"
      failures += 1
      console.log(error)
    }
    console.log(`${outcome}: ${title} (${((performance.now() - began) / 1000).toFixed(1)} s)`)
  }
  return asked.length > 0 && failures === 0
}
