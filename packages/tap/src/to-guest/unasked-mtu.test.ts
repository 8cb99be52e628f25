import { Segmentation } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { Fixture } from "../../test/fixture.ts"
import {
  ethernet,
  hasRightChecksum,
  ipv4,
  ipv6,
  joinFragments,
  parse,
  pattern,
  tcpHeader,
  udp,
} from "../../test/packets.ts"
import { flushed, four, isRightOrPartial, offloads, send, six, towards } from "../../test/sending.ts"

const UNASKED = { unaskedMtu: 1500 }
const capabilities = { mtu: 65_520 }
const OTHER_MAC = "02:00:00:00:00:03"
const ends = { from: "192.0.2.2", to: "198.51.100.7" }
const ends6 = { from: "2001:db8::2", to: "2001:db8:1::7" }
const request = udp([4000, 53], pattern(20))
const largeRequest = (length: number) => udp([4000, 53], pattern(length - 28))

/** Sends a datagram with 3,000 bytes of payload and returns the resulting frames. */
function answer(fixture: Fixture, demiflow = four): Uint8Array[] {
  const datagram = udp([53, 4000], pattern(3_000))
  send(fixture, demiflow, 17, datagram, { checksumOffset: 6 })
  const frames = flushed(fixture)
  const packets = frames.map(({ bytes }) => parse(bytes))
  const [packet] = packets
  const transport = packet.isFragment ? joinFragments(packets) : packet.transport
  expect(transport.subarray(8)).toEqual(datagram.subarray(8))
  expect(packet.isFragment ? hasRightChecksum(packet, transport) : isRightOrPartial(frames[0])).toBe(true)
  return frames.map(({ bytes }) => bytes)
}

const longest = (frames: Uint8Array[]) => Math.max(...frames.map(({ length }) => length))

describe.each([
  ["without offloads", capabilities],
  ["with offloads", offloads],
])("%s", (_, capabilities) => {
  const setUp = (mtu?: number) => new Fixture(capabilities, { ...UNASKED, ...(mtu && { mtu }) })

  test("a station that has shown nothing gets frames that every Ethernet card takes", () => {
    const fixture = setUp()
    expect(longest(answer(fixture))).toBe(1514)
    fixture.deliver(ipv4(17, request, ends), ipv6(17, request, ends6))
    expect([longest(answer(fixture)), longest(answer(fixture, six))]).toEqual([1514, 1510])
  })

  test("it shows by a frame of its own what it takes, for that version of IP", () => {
    const fixture = setUp()
    fixture.deliver(ipv4(17, request, ends), ipv6(17, request, ends6))
    fixture.deliver(ipv4(17, largeRequest(1_524), ends))
    expect(longest(answer(fixture))).toBeGreaterThan(1514)
    expect(longest(answer(fixture))).toBeLessThanOrEqual(14 + 1524)
    fixture.deliver(ipv4(17, largeRequest(1_504), ends))
    fixture.deliver(ipv4(17, largeRequest(4_000), ends))
    expect([answer(fixture).length, longest(answer(fixture, six))]).toEqual([1, 1510])
    fixture.deliver(ipv6(17, largeRequest(4_000), ends6))
    expect(answer(fixture, six)).toHaveLength(1)
  })

  test("a tag makes no frame large", () => {
    const fixture = setUp()
    fixture.deliver(ipv4(17, request, ends), ipv4(17, largeRequest(1_504), ends))
    expect(longest(answer(fixture))).toBe(1514)
  })

  test("a frame that isn't IP says nothing about IP", () => {
    const fixture = setUp()
    fixture.deliver(ipv4(17, request, ends))
    fixture.deliver(ethernet(0x88b5, pattern(4_000)))
    expect([longest(answer(fixture)), longest(answer(fixture, six))]).toEqual([1514, 1510])
  })

  test("neither fragments nor what is left together show anything", () => {
    const fixture = setUp()
    const whole = largeRequest(4_000)
    for (let offset = 0; offset < whole.length; offset += 1480) {
      const flagsAndOffset = (offset + 1480 < whole.length ? 0x2000 : 0) | (offset / 8)
      fixture.deliver(ipv4(17, whole.slice(offset, offset + 1480), { ...ends, flagsAndOffset }))
    }
    expect(fixture.seen).toHaveLength(1)
    fixture.sendMarked(ipv4(17, whole, ends), { segmentation: Segmentation.udp, segmentSize: 1000 })
    while (fixture.tap.receive() > 0);
    expect(longest(answer(fixture))).toBe(1514)
  })

  test("what a protocol has learnt of it counts, up to the MTU", () => {
    const fixture = setUp(9_000)
    fixture.onSequence = ({ etherType }) => fixture.tap.noticeMtu(etherType === 0x0800, 65_520)
    fixture.deliver(ipv6(17, request, ends6))
    expect([longest(answer(fixture)), answer(fixture, six).length]).toEqual([1514, 1])
    fixture.deliver(ipv4(17, request, ends))
    expect(answer(fixture)).toHaveLength(1)
    send(fixture, four, 17, udp([53, 4000], pattern(20_000)), { checksumOffset: 6 })
    expect(longest(flushed(fixture).map(({ bytes }) => bytes))).toBeLessThanOrEqual(9_014)
    fixture.deliver(ipv4(17, request, ends))
    expect(answer(fixture)).toHaveLength(1)
  })

  test("each station shows it for itself", () => {
    const fixture = setUp()
    fixture.deliver(ipv4(17, request, ends), ipv4(17, request, { ...ends, from: "192.0.2.3", mac: OTHER_MAC }))
    fixture.deliver(ipv4(17, largeRequest(4_000), ends))
    const other = towards("198.51.100.7", "192.0.2.3")
    expect([answer(fixture).length, longest(answer(fixture, other))]).toEqual([1, 1514])
    fixture.tap.forgetGuest()
    fixture.deliver(ipv4(17, request, ends))
    expect(longest(answer(fixture))).toBe(1514)
  })

  test("what is said of a station counts", () => {
    const fixture = setUp()
    fixture.deliver(ipv4(17, request, ends), ipv6(17, request, ends6))
    const [{ sourceMac }] = fixture.seen
    expect(sourceMac).toBe(String(fixture.tap.guestMac))
    fixture.tap.noticeMtuOf(fixture.tap.guestMac, 65_520)
    expect([answer(fixture).length, answer(fixture, six).length]).toEqual([1, 1])
  })

  test("a station that starts over may be set up for less than before, other stations aren't", () => {
    const fixture = setUp()
    const other = { from: "192.0.2.3", mac: OTHER_MAC }
    fixture.deliver(ipv4(17, request, { ...ends, ...other }), ipv4(17, request, ends), ipv6(17, request, ends6))
    fixture.deliver(ipv4(17, largeRequest(4_000), { ...ends, ...other }), ipv4(17, largeRequest(4_000), ends))
    fixture.deliver(ipv6(17, largeRequest(4_000), ends6))
    expect([answer(fixture).length, answer(fixture, six).length]).toEqual([1, 1])
    fixture.tap.neighbours.startsOver(fixture.tap.guestMac, true)
    expect([longest(answer(fixture)), longest(answer(fixture, six))]).toEqual([1514, 1510])
    expect(answer(fixture, towards("198.51.100.7", "192.0.2.3"))).toHaveLength(1)
  })

  test("a smaller MTU is one for everybody", () => {
    const fixture = setUp(1_400)
    fixture.deliver(ipv4(17, largeRequest(4_000), ends))
    expect(longest(answer(fixture))).toBeLessThanOrEqual(1_414)
  })
})

test("segments that the link cuts are left together for every station", () => {
  const fixture = new Fixture(offloads, UNASKED)
  const segment = new Uint8Array(20 + 14_480)
  segment.set(tcpHeader([80, 4000], 1, 0x10))
  send(fixture, four, 6, segment, { checksumOffset: 16, segmentSize: 1_448, headerLength: 20 })
  expect(flushed(fixture)).toMatchObject([{ segmentation: Segmentation.tcp4, segmentSize: 1_448 }])
})
