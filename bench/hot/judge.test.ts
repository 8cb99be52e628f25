import { expect, test } from "vitest"
import { better, flat, judge, judgeFlatness, limit, unmeasured } from "./judge.mjs"

function cost(name: string, steps: number, bytes = 0) {
  return { name, unit: "packet", nanoseconds: steps * 2, steps, bytes }
}

test("what costs as much as was recorded, and allocates nothing, is right", () => {
  expect(judge(cost("hash", 36), 36)).toEqual([])
  expect(judge(cost("hash", limit(36)), 36)).toEqual([])
})

test("what costs too many steps is reported with its limit", () => {
  expect(judge(cost("hash", limit(36) + 1), 36)).toEqual(["hash: 109.0 steps, which is more than 108.0"])
})

test.each([16_777, 16, 1])("%d bytes a call are too many", (bytes) => {
  expect(judge(cost("hash", 36, bytes), 36)).toHaveLength(1)
})

test("what has no bound is wrong", () => {
  expect(judge(cost("new", 36), undefined)).toHaveLength(1)
})

test("look-ups have to cost the same with many flows", () => {
  const [{ many, one, times }] = flat
  expect(judgeFlatness([cost(one, 60), cost(many, 60 * times)])).toEqual([])
  expect(judgeFlatness([cost(one, 60), cost(many, 60 * times + 1)])).toHaveLength(1)
  expect(judgeFlatness([cost("hash", 36)])).toEqual([])
})

test("of two measurements, the smaller figures count", () => {
  expect(better([cost("hash", 36, 16)], [cost("hash", 40, 0)])).toEqual([{ ...cost("hash", 36), bytes: 0 }])
})

test("what has a bound has to be measured", () => {
  expect(unmeasured([cost("hash", 36)], ["hash"])).toEqual([])
  expect(unmeasured([cost("hash", 36)], ["hash", "parse"])).toEqual(["parse: has a bound, but isn't measured"])
})
