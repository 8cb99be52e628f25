import { expect, test } from "vitest"
import { ErrorBudget } from "./error-budget.ts"

function takeAll(budget: ErrorBudget, now: number): number {
  let taken = 0
  while (taken < 10_000 && budget.take(now)) taken++
  return taken
}

test("fifty at once, then one a millisecond", () => {
  const budget = new ErrorBudget()
  expect(takeAll(budget, 5_000)).toBe(50)
  expect(takeAll(budget, 5_000)).toBe(0)
  expect(takeAll(budget, 5_001)).toBe(1)
  expect(takeAll(budget, 5_021)).toBe(20)
})

test("a long pause gives no more than fifty", () => {
  const budget = new ErrorBudget()
  takeAll(budget, 0)
  expect(takeAll(budget, 3_600_000)).toBe(50)
})
