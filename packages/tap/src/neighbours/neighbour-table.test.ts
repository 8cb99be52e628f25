import { Address, MacAddress } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { CountingRandom, ManualClock } from "../../test/fixture.ts"
import { HostNeighbourTable } from "./host-neighbour-table.ts"
import { NeighbourTable } from "./neighbour-table.ts"
import { Stations } from "./stations.ts"

const OURS = MacAddress.parse("9a:55:9a:55:9a:55")
const A = MacAddress.parse("02:00:00:00:00:0a")
const B = MacAddress.parse("02:00:00:00:00:0b")
const at = (text: string) => Address.parse(text)

function setUp({ asks = true } = {}) {
  const clock = new ManualClock()
  const random = new CountingRandom()
  const hostNeighbours = new HostNeighbourTable(clock, random, OURS, new Stations(clock, random, 1500), OURS, {})
  const table = new NeighbourTable(clock, random, OURS, hostNeighbours)
  const asked: string[] = []
  for (const isV4 of asks ? [true, false] : []) {
    table.askWith(isV4, (address, station) => asked.push(`${address} of ${station ?? "all"}`))
  }
  const stationOf = (text: string) => (table.resolve(at(text)) ? String(table.station) : undefined)
  return { clock, table, asked, stationOf }
}

describe.each(["192.0.2.2", "2001:db8::2"])("%s", (address) => {
  test("is where its packets come from", () => {
    const { table, stationOf, asked } = setUp()
    table.learn(at(address), A)
    table.learn(at("192.0.2.99"), B)
    expect([stationOf(address), stationOf("192.0.2.99"), asked]).toEqual([String(A), String(B), []])
  })

  test("moves with its packets, and with its announcement, which may leave it where it is", () => {
    const { table, stationOf } = setUp()
    table.learn(at(address), A)
    table.announce(at(address), B, false)
    expect([stationOf(address), table.isAnnounced(at(address))]).toEqual([String(A), false])
    table.announce(at(address), B, true)
    expect([stationOf(address), table.isAnnounced(at(address))]).toEqual([String(B), true])
    table.learn(at(address), A)
    expect([stationOf(address), table.isAnnounced(at(address))]).toEqual([String(A), true])
  })

  test("stays announced for five minutes after the last packet from the station that announced it", () => {
    const { clock, table } = setUp()
    table.announce(at(address), A, true)
    for (let minute = 0; minute < 6; minute++) {
      clock.now += 60_000
      table.learn(at(address), A)
    }
    expect(table.isAnnounced(at(address))).toBe(true)
    clock.now += 200_000
    table.learn(at(address), B)
    clock.now += 100_000
    table.learn(at(address), B)
    expect(table.isAnnounced(at(address))).toBe(false)
  })

  test("is at no station once everything was forgotten, nor is the unspecified address", () => {
    const { table, stationOf } = setUp()
    table.learn(at(address), A)
    table.forget()
    const unspecified = address.includes(":") ? "::" : "0.0.0.0"
    expect([stationOf(address), stationOf("::"), stationOf(unspecified)]).toEqual([undefined, undefined, undefined])
    table.forget()
    expect(table.isElsewhere(new Address(), B)).toBe(false)
  })

  test("is never where we are: that is a packet of ours, sent back", () => {
    const { table, stationOf } = setUp()
    table.learn(at(address), A)
    table.learn(at(address), OURS)
    table.announce(at(address), OURS, true)
    expect(stationOf(address)).toBe(String(A))
  })

  test("is asked for once a second where it isn't known", () => {
    const { clock, stationOf, asked, table } = setUp()
    for (let count = 0; count < 100; count++) {
      expect(stationOf(address)).toBeUndefined()
      clock.now += 25
    }
    expect(asked).toEqual(Array(3).fill(`${address} of all`))
    table.announce(at(address), A, false)
    expect(stationOf(address)).toBe(String(A))
  })

  test("is confirmed by its packets", () => {
    const { clock, stationOf, asked, table } = setUp()
    for (let minute = 0; minute < 10; minute++) {
      table.learn(at(address), A)
      clock.now += 59_999
      expect(stationOf(address)).toBe(String(A))
    }
    expect(asked).toEqual([])
  })

  test("is asked of its station after a minute of silence, and forgotten after three questions", () => {
    const { clock, stationOf, asked, table } = setUp()
    table.learn(at(address), A)
    clock.now += 60_000
    for (let second = 0; second < 3; second++) {
      expect(stationOf(address)).toBe(String(A))
      clock.now += 1_000
    }
    expect(stationOf(address)).toBeUndefined()
    expect(asked).toEqual([...Array(3).fill(`${address} of ${A}`), `${address} of all`])
    table.learn(at(address), B)
    expect([stationOf(address), asked.length]).toEqual([String(B), 4])
  })

  test("is kept by a station that answers", () => {
    const { clock, stationOf, asked, table } = setUp()
    for (let round = 0; round < 5; round++) {
      table.announce(at(address), A, true)
      clock.now += 60_000
      expect(stationOf(address)).toBe(String(A))
    }
    expect(asked).toHaveLength(5)
  })

  test("is a station's where it was seen there, or as assumed until nobody answers for it", () => {
    const { clock, table, stationOf } = setUp()
    const has = () => [true, false].map((isAssumed) => table.has(at(address), isAssumed))
    expect(has()).toEqual([true, false])
    stationOf(address)
    clock.now += 999
    expect(has()).toEqual([true, false])
    clock.now += 1
    expect(has()).toEqual([false, false])
    stationOf(address)
    expect(has()).toEqual([false, false])
    clock.now += 300_000
    expect(has()).toEqual([true, false])
    stationOf(address)
    expect(has()).toEqual([false, false])
    table.learn(at(address), A)
    expect(has()).toEqual([true, true])
    clock.now += 60_000
    for (let second = 0; second < 4; second++) {
      expect(has()).toEqual([true, true])
      stationOf(address)
      clock.now += 1_000
    }
    expect(has()).toEqual([false, false])
  })

  test("is assumed where nobody can be asked", () => {
    const { table } = setUp({ asks: false })
    table.resolve(at(address))
    expect(table.has(at(address), true)).toBe(true)
  })

  test("is announced for as long as its station uses it, and not by another station's use", () => {
    const { clock, table } = setUp()
    table.announce(at(address), A, true)
    for (let minute = 0; minute < 6; minute++) {
      clock.now += 60_000
      table.learn(at(address), A)
    }
    expect(table.isAnnounced(at(address))).toBe(true)
    for (let minute = 0; minute < 6; minute++) {
      clock.now += 60_000
      table.learn(at(address), B)
    }
    expect(table.isAnnounced(at(address))).toBe(false)
  })

  test("is announced for five minutes, and gone when all are forgotten", () => {
    const { clock, table, stationOf } = setUp()
    table.announce(at(address), A, true)
    clock.now += 299_999
    expect(table.isAnnounced(at(address))).toBe(true)
    clock.now += 1
    expect(table.isAnnounced(at(address))).toBe(false)
    table.announce(at(address), A, true)
    table.forget()
    expect([table.isAnnounced(at(address)), stationOf(address)]).toEqual([false, undefined])
  })
})

describe("a station that invents addresses", () => {
  test("takes no place from those that others announced", () => {
    const { table, stationOf } = setUp()
    for (let host = 1; host < 100; host++) table.announce(Address.fromV4(0xc0000200 + host), A, true)
    for (let count = 0; count < 100_000; count++) table.learn(Address.fromV4(0x0a000000 + count), B)
    const kept = Array.from({ length: 99 }, (_, host) => stationOf(`192.0.2.${host + 1}`))
    expect(kept).toEqual(Array(99).fill(String(A)))
  })

  test("and announces them leaves room for the next one", () => {
    const { table, stationOf, clock } = setUp()
    for (let count = 0; count < 10_000; count++) table.announce(Address.fromV4(0x0a000000 + count), B, true)
    clock.now += 1
    table.learn(at("192.0.2.2"), A)
    expect(stationOf("192.0.2.2")).toBe(String(A))
  })

  test("has us ask no more than a budget", () => {
    const { table, asked, clock } = setUp()
    for (let count = 0; count < 10_000; count++) table.resolve(Address.fromV4(0x0a000000 + count))
    expect(asked).toHaveLength(64)
    clock.now += 1_000
    for (let count = 0; count < 10_000; count++) table.resolve(Address.fromV4(0x0a000000 + count))
    expect(asked).toHaveLength(80)
  })
})

test("a table that grows keeps all that it knew, and does not grow for ever", () => {
  const { table } = setUp({ asks: false })
  const text = (index: number) => `10.0.${index >> 8}.${index & 255}`
  const station = (index: number) => new MacAddress(0x200, index + 1)
  const known = (index: number) => table.resolve(at(text(index))) && table.station.equals(station(index))
  const count = (limit: number) => Array.from({ length: limit }, (_, index) => index).filter(known).length
  for (let index = 0; index < 200; index++) {
    table.announce(at(text(index)), station(index), true)
    if (!known(0)) throw new Error(`The first address is unknown after ${index + 1}`)
  }
  expect(count(200)).toBe(200)
  expect(table.isAnnounced(at(text(7)))).toBe(true)
  for (let index = 200; index < 3_000; index++) table.learn(at(text(index)), station(index))
  expect(known(2_999)).toBe(true)
  expect(count(3_000)).toBeLessThanOrEqual(1_024)
})
