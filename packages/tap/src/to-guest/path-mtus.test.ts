import { Address } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { CountingRandom, Fixture, ManualClock } from "../../test/fixture.ts"
import { hasRightChecksum, joinFragments, parse, pattern, tcpHeader, udp } from "../../test/packets.ts"
import { flushed, four, offloads, send, six, towards } from "../../test/sending.ts"
import { PathMtus } from "./path-mtus.ts"

const MINUTES = 60_000
const A = Address.parse("2001:db8::2")
const B = Address.parse("2001:db8::3")

function setUp() {
  const clock = new ManualClock()
  return { clock, paths: new PathMtus(clock, new CountingRandom(), 1500) }
}

test("a path's MTU becomes smaller, never larger, until ten minutes after the last report", () => {
  const { clock, paths } = setUp()
  const known = () => [paths.mtu(A), paths.mtu(B)]
  paths.notice(A, 1_400)
  paths.notice(A, 1_450)
  expect(known()).toEqual([1_400, Number.POSITIVE_INFINITY])
  clock.now += 5 * MINUTES
  paths.notice(A, 1_300)
  paths.notice(B, 1_350)
  clock.now += 10 * MINUTES - 1
  expect(known()).toEqual([1_300, 1_350])
  clock.now += 1
  expect(known()).toEqual([Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY])
  paths.notice(A, 1_450)
  expect(paths.mtu(A)).toBe(1_450)
})

test("no packet has to be read that fits every path", () => {
  const { clock, paths } = setUp()
  expect(paths.certain).toBe(1_500)
  paths.notice(A, 1_400)
  expect(paths.certain).toBe(1_280)
  clock.now += 10 * MINUTES
  paths.mtu(B)
  expect(paths.certain).toBe(1_500)
  paths.notice(A, 1_400)
  paths.forget()
  expect([paths.certain, paths.mtu(A)]).toEqual([1_500, Number.POSITIVE_INFINITY])
})

test("there is a limited number, and the latest is among them", () => {
  const { clock, paths } = setUp()
  const addresses = Array.from({ length: 2_000 }, (_, index) => new Address(0x20010db8, 0, 0, index + 1))
  for (const address of addresses) {
    clock.now++
    paths.notice(address, 1_300)
    expect(paths.mtu(address)).toBe(1_300)
  }
  expect(addresses.filter((address) => paths.mtu(address) === 1_300).length).toBeLessThanOrEqual(256)
})

describe.each([
  ["without offloads", { mtu: 65_520 }],
  ["with offloads", offloads],
])("datagrams for a path that takes less, %s", (_, capabilities) => {
  function setUp() {
    const fixture = new Fixture(capabilities, { unaskedMtu: 1_500 })
    fixture.tap.noticePathMtu(A, 1_300)
    return fixture
  }

  /** Sizes of the IP packets that a datagram becomes. */
  function packetsOf(fixture: Fixture, demiflow: typeof six, length: number, segmentSize = 0): number[] {
    const datagram = udp([53, 4000], pattern(length - 48))
    const options = segmentSize > 0 ? { segmentSize, headerLength: 8 } : {}
    send(fixture, demiflow, 17, datagram, { checksumOffset: 6, ...options })
    const packets = flushed(fixture).map(({ bytes }) => bytes)
    const parsed = packets.map((bytes) => parse(bytes))
    if (segmentSize === 0 && parsed[0].isFragment) {
      const transport = joinFragments(parsed)
      expect(transport.subarray(8)).toEqual(datagram.subarray(8))
      expect(hasRightChecksum(parsed[0], transport)).toBe(true)
    }
    return packets.map(({ length }) => length - 14)
  }

  test("are cut to what it takes by their source, which is us", () => {
    const fixture = setUp()
    expect(packetsOf(fixture, six, 1_300)).toEqual([1_300])
    // The first one's payload is a multiple of eight bytes (RFC 8200, section 4.5).
    expect(packetsOf(fixture, six, 1_301)).toEqual([1_296, 61])
    expect(Math.max(...packetsOf(fixture, six, 9_000))).toBe(1_296)
  })

  test("stay whole for other addresses, after ten minutes, and over IPv4, where routers cut them", () => {
    const fixture = setUp()
    fixture.tap.noticePathMtu(Address.parse("192.0.2.2"), 1_300)
    expect(packetsOf(fixture, towards("2001:db8:1::7", "2001:db8::3"), 1_500)).toEqual([1_500])
    expect(packetsOf(fixture, four, 1_500)).toEqual([1_480])
    fixture.clock.now += 10 * MINUTES
    expect(packetsOf(fixture, six, 1_500)).toEqual([1_500])
  })

  test("that were left together are cut apart first", () => {
    const fixture = setUp()
    const sizes = packetsOf(fixture, six, 48 + 2 * 1_400, 1_400)
    expect(sizes).toHaveLength(4)
    expect(Math.max(...sizes)).toBeLessThanOrEqual(1_300)
  })

  test("are not segments: these are as small as their connection knows", () => {
    const fixture = setUp()
    const segment = new Uint8Array(20 + 1_400)
    segment.set(tcpHeader([80, 4000], 1, 0x10))
    send(fixture, six, 6, segment, { checksumOffset: 16 })
    expect(flushed(fixture).map(({ bytes }) => bytes.length - 14)).toEqual([1_460])
  })

  test("a report of no less than the guest's own MTU, or about a guest that is gone, changes nothing", () => {
    const fixture = setUp()
    fixture.tap.noticePathMtu(B, 0xffff_ffff)
    expect([fixture.tap.pathMtu(A), fixture.tap.pathMtu(B)]).toEqual([1_300, 65_520])
    fixture.tap.forgetGuest()
    expect(packetsOf(fixture, six, 1_500)).toEqual([1_500])
  })
})
