// The limits for the cost of a function.

/** @typedef {import("./measure.mjs").Cost} Cost */

/**
 * The allowed factor above the recorded steps: processors have different strengths, and versions of Node.js compile
 * differently.
 */
const STEPS_FACTOR = 3
/** The smallest object has 16 bytes. This limit is one object in sixteen calls, for single events. */
const BYTES = 1

/** Costs that must stay flat: the first is at most this multiple of the second. */
export const flat = /** @type {const} */ ([{ many: "look-up, 50,000 flows", one: "look-up, 2 flows", times: 2 }])

/** @param {number} steps As recorded. */
export function limit(steps) {
  return steps * STEPS_FACTOR
}

/**
 * The smaller results of two measurements of the same functions: disturbances only increase a result.
 * @param {readonly Cost[]} first
 * @param {readonly Cost[]} second
 * @returns {Cost[]}
 */
export function better(first, second) {
  return first.map((cost, index) => {
    const other = second[index]
    return {
      ...cost,
      nanoseconds: Math.min(cost.nanoseconds, other.nanoseconds),
      steps: Math.min(cost.steps, other.steps),
      bytes: Math.min(cost.bytes, other.bytes),
    }
  })
}

/**
 * @param {Cost} cost
 * @param {number | undefined} recorded Steps.
 * @returns {string[]} What is wrong, a sentence each.
 */
export function judge({ name, steps, bytes }, recorded) {
  const problems = []
  if (recorded === undefined) problems.push(`${name}: no bound is recorded: npm run bench:hot -- --record`)
  else if (steps > limit(recorded)) {
    problems.push(`${name}: ${steps.toFixed(1)} steps, which is more than ${limit(recorded).toFixed(1)}`)
  }
  if (bytes >= BYTES) problems.push(`${name}: allocates ${bytes.toFixed(1)} bytes a call`)
  return problems
}

/**
 * @param {readonly Cost[]} costs
 * @returns {string[]}
 */
export function judgeFlatness(costs) {
  const stepsOf = (/** @type {string} */ name) => costs.find((cost) => cost.name === name)?.steps
  return flat.flatMap(({ many, one, times }) => {
    const [above, below] = [stepsOf(many), stepsOf(one)]
    if (above === undefined || below === undefined) return []
    return above <= below * times
      ? []
      : [`${many}: ${(above / below).toFixed(1)} times ${one}, and not at most ${times}`]
  })
}

/**
 * Reports functions that were recorded and are no longer measured: they are not guarded any more.
 * @param {readonly Cost[]} costs
 * @param {readonly string[]} recorded Names.
 */
export function unmeasured(costs, recorded) {
  const measured = new Set(costs.map(({ name }) => name))
  return recorded.filter((name) => !measured.has(name)).map((name) => `${name}: has a bound, but isn't measured`)
}
