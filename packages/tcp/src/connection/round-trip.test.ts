import { expect, test } from "vitest"
import { RoundTrip } from "./round-trip.ts"

function measured(...times: number[]): RoundTrip {
  const trip = new RoundTrip()
  let now = 0
  for (const time of times) {
    trip.time(100, now)
    now += time
    trip.acknowledged(100, now)
  }
  return trip
}

// RFC 6298 2.1
test("the time-out is a second before anything is measured", () => {
  expect(new RoundTrip().timeOut).toBe(1_000)
})

// RFC 6298 2.2
test("the first measurement gives a time-out of three times as much", () => {
  expect(measured(400).timeOut).toBe(1_200)
})

// RFC 6298 2.3
test("later measurements change the time-out by their error", () => {
  // The variation is 200 + (400 - 200) / 4, the smoothed time 400 + 400 / 8.
  expect(measured(400, 800).timeOut).toBe(1_450)
  expect(measured(...Array.from({ length: 100 }, () => 400)).timeOut).toBe(401)
})

test("the time-out is at least a fifth of a second, and at most a minute", () => {
  expect(measured(1).timeOut).toBe(200)
  const trip = measured(50_000)
  expect(trip.timeOut).toBe(60_000)
  trip.backOff()
  expect(trip.timeOut).toBe(60_000)
})

// RFC 6298 3
test("what is sent again measures nothing", () => {
  const trip = new RoundTrip()
  trip.time(100, 0)
  trip.cancel()
  trip.acknowledged(100, 5_000)
  expect(trip.timeOut).toBe(1_000)
})

test("an acknowledgement before the timed number measures nothing", () => {
  const trip = new RoundTrip()
  trip.time(100, 0)
  trip.acknowledged(99, 50)
  expect(trip.timeOut).toBe(1_000)
  trip.acknowledged(101, 400)
  expect(trip.timeOut).toBe(1_200)
})

// RFC 6298 5.5
test("each expiry doubles the time-out, until the loss turns out to be the link's", () => {
  const trip = measured(400)
  trip.backOff()
  trip.backOff()
  expect(trip.timeOut).toBe(4_800)
  trip.withoutBackOff()
  expect(trip.timeOut).toBe(1_200)
})

// RFC 6298 5.7
test("the time-out is three seconds after a lost SYN", () => {
  const trip = new RoundTrip()
  trip.backOff()
  trip.afterLostSyn()
  expect(trip.timeOut).toBe(3_000)
})
