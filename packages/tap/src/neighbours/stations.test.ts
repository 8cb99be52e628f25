import { expect, test } from "vitest"
import { CountingRandom, ManualClock } from "../../test/fixture.ts"
import { NO_STATION, Stations } from "./stations.ts"

function setUp() {
  const clock = new ManualClock()
  return { clock, stations: new Stations(clock, new CountingRandom(), 1500) }
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

test("a stranger that is heard is none any more", () => {
  const { stations } = setUp()
  let changes = 0
  stations.onChange = () => changes++
  expect([stations.find(0x0200, 1), stations.find(0x0200, 1), changes]).toEqual([NO_STATION, NO_STATION, 0])
  stations.notice(0x0200, 1)
  expect([stations.isPresent(0x0200, 1), changes]).toEqual([true, 1])
  stations.notice(0x0200, 1)
  expect(changes).toBe(1)
  stations.forget()
  expect([stations.find(0x0200, 1), changes]).toEqual([NO_STATION, 2])
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

test("what a station takes is known for each version of IP, never less than before, and gone with the station", () => {
  const { stations } = setUp()
  stations.noticeMtu(0x0200, 1, true, 9000)
  stations.notice(0x0200, 1)
  const known = () => [stations.mtu(0x0200, 1, true), stations.mtu(0x0200, 1, false), stations.mtu(0x0200, 2, true)]
  expect(known()).toEqual([1500, 1500, 1500])
  stations.noticeMtu(0x0200, 1, true, 9000)
  stations.noticeMtu(0x0200, 1, true, 2000)
  stations.noticeMtu(0x0200, 1, false, 3000)
  stations.notice(0x0200, 1)
  expect(known()).toEqual([9000, 3000, 1500])
  stations.forget()
  stations.notice(0x0200, 1)
  expect(known()).toEqual([1500, 1500, 1500])
})
