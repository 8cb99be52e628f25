import { expect, test } from "vitest"
import { RateBudget } from "./rate-budget.ts"

function takeAll(budget: RateBudget, now: number): number {
  let taken = 0
  while (taken < 10_000 && budget.take(now)) taken++
  return taken
}

test("a burst at once, then a number a second", () => {
  const budget = new RateBudget(1000, 50)
  expect(takeAll(budget, 5_000)).toBe(50)
  expect(takeAll(budget, 5_000)).toBe(0)
  expect(takeAll(budget, 5_001)).toBe(1)
  expect(takeAll(budget, 5_021)).toBe(20)
  const slow = new RateBudget(1, 3)
  expect([5_000, 5_500, 6_000].map((now) => takeAll(slow, now))).toEqual([3, 0, 1])
})

test("a long pause gives no more than at first", () => {
  const budget = new RateBudget(1000, 50)
  takeAll(budget, 0)
  expect(takeAll(budget, 3_600_000)).toBe(50)
})
