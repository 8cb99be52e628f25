import { describe, expect, it } from "vitest"
import { median, ratio, summarize } from "./statistics.mjs"

describe("a summary", () => {
  it("has the value in the middle, by size and not by spelling", () => {
    expect(median([10, 9, 100])).toBe(10)
    expect(median([4, 1, 3, 2])).toBe(2.5)
  })

  it("has the spread, and leaves what it was given as it was", () => {
    const values = [3, 1, 2]
    expect(summarize(values)).toEqual({ median: 2, smallest: 1, largest: 3 })
    expect(values).toEqual([3, 1, 2])
  })

  it("is nothing when nothing was measured", () => {
    expect(summarize([])).toBeUndefined()
  })
})

describe("a ratio", () => {
  it("is above 1 when ours is ahead, whichever way is better", () => {
    expect(ratio(20, 10, "more")).toBe(2)
    expect(ratio(20, 10, "less")).toBe(0.5)
  })

  it("knows nothing of what was not measured", () => {
    expect(ratio(undefined, 1, "more")).toBeUndefined()
    expect(ratio(1, undefined, "less")).toBeUndefined()
  })

  it("holds where nothing is spent at all", () => {
    expect(ratio(0, 3, "less")).toBe(Number.POSITIVE_INFINITY)
    expect(ratio(0, 0, "less")).toBe(1)
    expect(ratio(3, 0, "less")).toBe(0)
  })
})
