import { expect, test } from "vitest"
import { OpeningPace } from "./opening-pace.ts"

/** A clock by which opening a socket takes `cost` microseconds. */
class Clock {
  now = 1_000
  microseconds = 0
  spent(): number {
    return this.microseconds
  }
}

/** Opens as many sockets as it may in the given time, with some turns in each millisecond, and counts them. */
function opened(pace: OpeningPace, clock: Clock, { milliseconds = 1, turns = 10, cost = 50, isBusy = true }): number {
  let count = 0
  for (const end = clock.now + milliseconds; clock.now < end; clock.now++) {
    for (let turn = 0; turn < turns; turn++) {
      clock.microseconds = 0
      while (pace.take(isBusy)) {
        count++
        pace.begin()
        clock.microseconds += cost
        pace.end()
      }
      pace.endTurn()
    }
  }
  return count
}

test("a turn opens four sockets, whatever they cost", () => {
  const clock = new Clock()
  const pace = new OpeningPace(clock)
  expect(opened(pace, clock, { milliseconds: 100, cost: 10_000, isBusy: false })).toBe(4_000)
})

test("while many are unanswered, a turn opens one, and all of them take a quarter of the time", () => {
  const clock = new Clock()
  const pace = new OpeningPace(clock)
  expect(opened(pace, clock, { turns: 1 })).toBe(1)
  opened(pace, clock, { milliseconds: 10 })
  for (const cost of [10, 25, 50, 125, 1_000]) {
    expect(opened(pace, clock, { milliseconds: 1_000, turns: 100, cost }) * cost).toBeCloseTo(250_000, -4)
  }
})

test("what a long one owes is paid back in some milliseconds, and says when the next one may be opened", () => {
  const clock = new Clock()
  const pace = new OpeningPace(clock)
  expect(pace.nextAt(true)).toBe(clock.now)
  expect(pace.take(true)).toBe(true)
  pace.begin()
  clock.microseconds += 1_000_000
  pace.end()
  pace.endTurn()
  expect(pace.nextAt(false)).toBe(clock.now)
  const next = pace.nextAt(true)
  expect(next).toBeLessThanOrEqual(clock.now + 10)
  expect(opened(pace, clock, { milliseconds: next - clock.now })).toBe(0)
  expect(pace.take(true)).toBe(true)
})

test("without a clock that says what time was spent, a socket counts as some microseconds", () => {
  const clock = { now: 0 }
  const pace = new OpeningPace(clock)
  let count = 0
  for (; clock.now < 1_000; clock.now++) {
    while (pace.take(true)) {
      count++
      pace.begin()
      pace.end()
      pace.endTurn()
    }
  }
  expect(count).toBeGreaterThan(4_900)
  expect(count).toBeLessThan(5_100)
})
