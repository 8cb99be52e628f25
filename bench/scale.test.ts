import { expect, test } from "vitest"
import { possibleScaleCases, scaleRounds } from "./scale.mjs"

const counts = (isQuick: boolean, openFiles: number) => [
  ...new Set(possibleScaleCases(isQuick, openFiles).map(({ flows }) => flows)),
]

test("as many flows are measured as there are descriptors for", () => {
  expect(counts(false, 200_000)).toEqual([15_000, 1, 100, 10_000, 50_000])
  expect(counts(false, 20_000)).toEqual([15_000, 1, 100, 10_000])
  expect(counts(false, 1024)).toEqual([])
})

test("a first look measures no more than 15,000, and each once", () => {
  expect(counts(true, 200_000)).toEqual([15_000, 1, 100, 10_000])
  const rounds = (quick: boolean) =>
    possibleScaleCases(true, 200_000).map((one) => scaleRounds(one, { quick, rounds: 5 }))
  expect(rounds(true)).toEqual([1, 1, 1, 1, 1, 1, 1])
  expect(rounds(false)).toEqual([3, 5, 5, 3, 5, 5, 3])
})

test("memory is reported where there are enough flows to measure it", () => {
  for (const { flows, rows } of possibleScaleCases(false, 200_000)) {
    expect(rows.some(({ label }) => label.startsWith("memory"))).toBe(flows >= 10_000)
  }
})
