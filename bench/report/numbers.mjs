// Numbers for readers: three significant digits.

/** @param {number} value */
export function short(value) {
  if (!Number.isFinite(value)) return "∞"
  const size = Math.abs(value)
  if (size >= 100 || size === 0) return Math.round(value).toLocaleString("en")
  return value.toFixed(size >= 10 ? 1 : size >= 1 ? 2 : 3)
}

/** @param {import("../statistics.mjs").Summary | undefined} summary */
export function withSpread(summary) {
  if (summary === undefined) return "–"
  const { median, smallest, largest } = summary
  return `${short(median)} (${short(smallest)}–${short(largest)})`
}

/** @param {number | undefined} value */
export function times(value) {
  if (value === undefined) return "–"
  return value >= 10 ? short(value) : Number.isFinite(value) ? value.toFixed(2) : "∞"
}
