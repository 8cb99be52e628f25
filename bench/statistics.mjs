// Summaries of repeated measurements.

/**
 * @typedef {object} Summary
 * @property {number} median
 * @property {number} smallest
 * @property {number} largest
 */

/**
 * @param {readonly number[]} values
 * @returns {number} Not a number if there are none.
 */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/**
 * @param {readonly number[]} values
 * @returns {Summary | undefined} Nothing if there are none.
 */
export function summarize(values) {
  if (values.length === 0) return undefined
  return { median: median(values), smallest: Math.min(...values), largest: Math.max(...values) }
}

/**
 * The ratio of `ours` to `theirs`: 2 for twice as good, 0.5 for half as good.
 * @param {number | undefined} ours
 * @param {number | undefined} theirs
 * @param {"more" | "less"} better
 */
export function ratio(ours, theirs, better) {
  if (ours === undefined || theirs === undefined) return undefined
  const [above, below] = better === "more" ? [ours, theirs] : [theirs, ours]
  if (below === 0) return above === 0 ? 1 : Number.POSITIVE_INFINITY
  return above / below
}
