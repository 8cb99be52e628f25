import { expect, test } from "vitest"
import { NewReno, UNLIMITED } from "./new-reno.ts"

const MSS = 1_000
const WINDOW = 100_000

/** The window after a loss with this much in flight, and recovery from it. */
function halved(flight: number): NewReno {
  const reno = new NewReno()
  reno.lost(flight, MSS)
  reno.recovered()
  return reno
}

// RFC 5681 3.2
test("a loss halves the window, and the segments that have left the network count as three", () => {
  const reno = new NewReno()
  reno.lost(20 * MSS, MSS)
  expect(reno.window).toBe(13 * MSS)
})

// RFC 5681 3.2
test("the window after a loss is never less than two segments", () => {
  expect(halved(MSS).window).toBe(2 * MSS)
})

// RFC 5681 3.2
test("each further duplicate acknowledgement inflates the window by a segment", () => {
  const reno = new NewReno()
  reno.lost(20 * MSS, MSS)
  reno.duplicateInRecovery(MSS)
  reno.duplicateInRecovery(MSS)
  expect(reno.window).toBe(15 * MSS)
})

// RFC 6582 3.2
test("the end of recovery deflates the window to half of what was in flight", () => {
  const reno = new NewReno()
  reno.lost(20 * MSS, MSS)
  for (let count = 0; count < 16; count++) reno.duplicateInRecovery(MSS)
  reno.recovered()
  expect(reno.window).toBe(10 * MSS)
})

// RFC 6582 3.2
test.each([
  ["a segment or more, less the one that is sent again", 3 * MSS, 11 * MSS],
  ["less than a segment", 400, 12_600],
])("a partial acknowledgement deflates the window by what it covers: %s", (_what, bytes, window) => {
  const reno = new NewReno()
  reno.lost(20 * MSS, MSS)
  reno.partial(bytes, MSS)
  expect(reno.window).toBe(window)
})

// RFC 6582 3.2
test("a partial acknowledgement leaves a window of at least a segment", () => {
  const reno = new NewReno()
  reno.lost(4 * MSS, MSS)
  reno.partial(50 * MSS, MSS)
  expect(reno.window).toBe(MSS)
})

// RFC 5681 3.1
test("after a time-out, the window is one segment and grows by what is acknowledged up to the threshold", () => {
  const reno = new NewReno()
  reno.timedOut(20 * MSS, MSS, true)
  expect(reno.window).toBe(MSS)
  for (const expected of [2, 4, 8, 10, 11]) {
    reno.acknowledged(reno.window, MSS, WINDOW)
    expect(reno.window).toBe(expected * MSS)
  }
})

// RFC 5681 3.1
test("one acknowledgement of much, after a time-out, leads no further than to the threshold", () => {
  const reno = new NewReno()
  reno.timedOut(20 * MSS, MSS, true)
  reno.acknowledged(20 * MSS, MSS, WINDOW)
  expect(reno.window).toBe(10 * MSS)
})

// RFC 5681 3.1
test("above the threshold, the window grows by a segment in a round trip", () => {
  const reno = halved(20 * MSS)
  for (let count = 0; count < 10; count++) reno.acknowledged(MSS, MSS, WINDOW)
  expect(reno.window).toBeGreaterThan(10.9 * MSS)
  expect(reno.window).toBeLessThanOrEqual(11 * MSS)
})

// RFC 5681 3.1
test("the same payload that times out again leaves the threshold", () => {
  const reno = new NewReno()
  reno.timedOut(40 * MSS, MSS, true)
  reno.timedOut(MSS, MSS, false)
  for (let count = 0; count < 4; count++) reno.acknowledged(reno.window, MSS, WINDOW)
  expect(reno.window).toBe(16 * MSS)
  reno.acknowledged(MSS, MSS, WINDOW)
  expect(reno.window).toBe(17 * MSS)
})

// RFC 5681 3.1
test("a time-out in recovery never raises the threshold, but may lower it", () => {
  for (const [flight, threshold] of [
    [100, 10],
    [6, 3],
  ]) {
    const reno = new NewReno()
    reno.lost(20 * MSS, MSS)
    reno.timedOut(flight * MSS, MSS, true)
    expect(reno.window).toBe(MSS)
    reno.acknowledged(50 * MSS, MSS, WINDOW)
    expect(reno.window).toBe(threshold * MSS)
  }
})

test("a window beyond any window of the guest limits nothing again", () => {
  const reno = halved(20 << 20)
  reno.acknowledged(1_000_000, MSS, WINDOW)
  expect(reno.window).toBe(UNLIMITED)
  reno.acknowledged(MSS, MSS, WINDOW)
  expect(reno.window).toBe(UNLIMITED)
})
