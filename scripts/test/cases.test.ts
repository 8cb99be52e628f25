import { afterEach, expect, test, vi } from "vitest"
import { runCases } from "./cases.mjs"

const printed = vi.spyOn(console, "log").mockImplementation(() => {})
afterEach(() => printed.mockClear())

const failure = new Error("doesn't work")
const cases = {
  "the first": () => {},
  "the second": () => Promise.reject(failure),
  "the third": () => {},
}

test("runs all cases, whichever of them fails, and reports that", async () => {
  expect(await runCases(cases, [])).toBe(false)
  expect(printed.mock.calls.flat()).toEqual([
    expect.stringMatching(/^passed: the first \(\d+\.\d s\)$/),
    failure,
    expect.stringMatching(/^FAILED: the second /),
    expect.stringMatching(/^passed: the third /),
  ])
})

test("runs only the cases with one of the words in their titles", async () => {
  expect(await runCases(cases, ["first", "third"])).toBe(true)
  expect(printed).toHaveBeenCalledTimes(2)
})

test("fails if there is no such case", async () => {
  expect(await runCases(cases, ["fourth"])).toBe(false)
})
