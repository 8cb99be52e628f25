import { expect, test } from "vitest"
import { CryptoRandom } from "./crypto-random.ts"

test("numbers of all sizes and both signs, also beyond one fetch", () => {
  const random = new CryptoRandom()
  const numbers = Array.from({ length: 1000 }, () => random.int32())
  // Among 1,000 numbers of 32 bits, one pair is equal once in 8,600 runs, and three pairs practically never.
  expect(new Set(numbers).size).toBeGreaterThan(997)
  expect(numbers.some((number) => number > 1 << 30)).toBe(true)
  expect(numbers.some((number) => number < -(1 << 30))).toBe(true)
  expect(numbers.every((number) => number === (number | 0))).toBe(true)
})
