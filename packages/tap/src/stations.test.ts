import { expect, test } from "vitest"
import { CountingRandom, ManualClock } from "../test/fixture.ts"
import { NO_STATION, Stations } from "./stations.ts"

function setUp() {
  const clock = new ManualClock()
  return { clock, stations: new Stations(clock, new CountingRandom()) }
}

test("a station is new once, and has its place", () => {
  const { stations } = setUp()
  expect([stations.isEmpty, stations.find(0x0200, 1)]).toEqual([true, NO_STATION])
  expect([stations.notice(0x0200, 1), stations.notice(0x0200, 2), stations.notice(0x0200, 1)]).toEqual([
    true,
    true,
    false,
  ])
  const places = [stations.find(0x0200, 1), stations.find(0x0200, 2)]
  expect(new Set(places).size).toBe(2)
  expect([stations.isEmpty, stations.find(0x0201, 1)]).toEqual([false, NO_STATION])
})

test("a station is present for five minutes after it was heard", () => {
  const { clock, stations } = setUp()
  stations.notice(0x0200, 1)
  clock.now += 200_000
  stations.notice(0x0200, 1)
  clock.now += 299_999
  expect(stations.isPresent(0x0200, 1)).toBe(true)
  clock.now += 1
  expect(stations.isPresent(0x0200, 1)).toBe(false)
  stations.notice(0x0200, 1)
  stations.forget()
  expect(stations.isPresent(0x0200, 1)).toBe(false)
})

test("there is a limited number, and the latest is among them", () => {
  const { clock, stations } = setUp()
  for (let low = 0; low < 5_000; low++) {
    clock.now++
    stations.notice(0x0200, low)
    expect(stations.find(0x0200, low)).not.toBe(NO_STATION)
  }
  const known = Array.from({ length: 5_000 }, (_, low) => stations.find(0x0200, low)).filter((place) => place >= 0)
  expect(known.length).toBeLessThanOrEqual(256)
})
