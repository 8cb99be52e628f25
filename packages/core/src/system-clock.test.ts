import { afterEach, expect, test, vi } from "vitest"
import { SystemClock } from "./system-clock.ts"

afterEach(() => vi.restoreAllMocks())

test("the clock has whole milliseconds since its start, and stands until it is read again", () => {
  let system = 1000.75
  vi.spyOn(performance, "now").mockImplementation(() => system)
  const clock = new SystemClock()
  expect(clock.now).toBe(0)
  system = 1012.5
  expect(clock.now).toBe(0)
  expect(clock.spent()).toBe(11_750)
  expect(clock.advance()).toBe(11)
  expect([clock.now, clock.spent()]).toEqual([11, 0])
  system += 0.5
  expect([clock.now, clock.spent()]).toEqual([11, 500])
})
