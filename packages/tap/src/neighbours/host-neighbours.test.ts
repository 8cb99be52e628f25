/** Neighbours of the host on the guest's link: the sources of their packets, and frames sent back to us. */
import { Address, MacAddress } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { Fixture } from "../../test/fixture.ts"
import { ethernet, ipv4, ipv6, OUR_MAC, parse, pattern, udp } from "../../test/packets.ts"
import { flushed, offloads, send, towards } from "../../test/sending.ts"

const A = "02:00:00:00:00:0a"
const B = "02:00:00:00:00:0b"
const NEIGHBOUR = "02:00:00:00:00:77"
const OTHER = "02:00:00:00:00:78"
const datagram = udp([4000, 53], pattern(20))
const versions = [
  {
    name: "IPv4",
    build: ipv4,
    type: 0x0800,
    a: "192.0.2.10",
    b: "192.0.2.11",
    near: "192.0.2.77",
    far: "198.51.100.7",
  },
  {
    name: "IPv6",
    build: ipv6,
    type: 0x86dd,
    a: "2001:db8::a",
    b: "2001:db8::b",
    near: "2001:db8::77",
    far: "2001:db8:1::7",
  },
]

function setUp() {
  const fixture = new Fixture()
  const notice = (address: string, mac: string) =>
    fixture.tap.hostNeighbours.notice(Address.parse(address), MacAddress.parse(mac))
  /** The Ethernet source of a packet from an address. */
  const sourceOf = (from: string, to: string) => {
    send(fixture, towards(from, to), 17, datagram)
    return parse(flushed(fixture)[0].bytes).source
  }
  return { fixture, notice, sourceOf }
}

describe.each(versions)("$name", ({ build, type, a, b, near, far }) => {
  test("packets from a neighbour come from its Ethernet address, those from elsewhere from ours", () => {
    const { fixture, notice, sourceOf } = setUp()
    fixture.deliver(build(17, datagram, { from: a, to: near, mac: A }))
    notice(near, NEIGHBOUR)
    expect([sourceOf(near, a), sourceOf(far, a), sourceOf(near, a)]).toEqual([NEIGHBOUR, OUR_MAC, NEIGHBOUR])
  })

  test("a neighbour's new Ethernet address counts from the next packet on, of flows that are there as well", () => {
    const { notice, sourceOf } = setUp()
    notice(near, NEIGHBOUR)
    expect(sourceOf(near, a)).toBe(NEIGHBOUR)
    notice(near, OTHER)
    expect(sourceOf(near, a)).toBe(OTHER)
  })

  test("a packet that is given other ends, and one that is cut, come from the neighbour as well", () => {
    const { fixture, notice } = setUp()
    notice(near, NEIGHBOUR)
    const offset = fixture.tap.begin(towards(far, a), 17, 8)
    fixture.tap.redirect(offset, towards(near, a), 17)
    fixture.tap.end(offset, 8, -1)
    send(fixture, towards(near, a), 17, udp([53, 4000], pattern(4000)))
    const frames = flushed(fixture)
    expect(frames.length).toBeGreaterThan(3)
    expect(new Set(frames.map(({ bytes }) => parse(bytes).source))).toEqual(new Set([NEIGHBOUR]))
  })

  test("frames to a neighbour are ours", () => {
    const { fixture, notice } = setUp()
    notice(near, NEIGHBOUR)
    const packet = build(17, datagram, { from: a, to: near }).slice(14)
    expect(fixture.deliver(ethernet(type, packet, A, NEIGHBOUR))).toHaveLength(1)
    expect(fixture.drops.entries()).toEqual([])
  })

  test("a neighbour's packet that is sent back says nothing of the guest", () => {
    const { fixture, notice, sourceOf } = setUp()
    notice(near, NEIGHBOUR)
    fixture.deliver(build(17, datagram, { from: a, to: near, mac: A }))
    fixture.deliver(build(17, datagram, { from: near, to: a, mac: NEIGHBOUR }))
    fixture.tap.neighbours.announce(Address.parse(near), MacAddress.parse(NEIGHBOUR), true)
    expect([String(fixture.tap.guestMac), fixture.tap.neighbours.isAnnounced(Address.parse(near))]).toEqual([A, false])
    expect(sourceOf(near, a)).toBe(NEIGHBOUR)
    const packet = build(17, datagram, { from: a, to: near }).slice(14)
    expect(fixture.deliver(ethernet(type, packet, A, NEIGHBOUR))).toHaveLength(1)
  })

  test("a station with a neighbour's Ethernet address keeps it for itself, and gets what is its own", () => {
    const { fixture, notice, sourceOf } = setUp()
    notice(near, B)
    fixture.deliver(build(17, datagram, { from: a, to: near, mac: A }))
    fixture.deliver(build(17, datagram, { from: b, to: near, mac: B }))
    expect([sourceOf(near, a), sourceOf(near, b)]).toEqual([OUR_MAC, OUR_MAC])
    send(fixture, towards(near, b), 17, datagram)
    expect(parse(flushed(fixture)[0].bytes).target).toBe(B)
    const between = ethernet(type, build(17, datagram, { from: a, to: b }).slice(14), A, B)
    expect(fixture.deliver(between)).toEqual([])
  })

  test("a guest that moved here from the network, with its Ethernet address, is the guest", () => {
    const { fixture, notice, sourceOf } = setUp()
    notice(a, A)
    notice(near, NEIGHBOUR)
    fixture.deliver(build(17, datagram, { from: a, to: near, mac: A }))
    expect([String(fixture.tap.guestMac), sourceOf(near, a), sourceOf(a, b)]).toEqual([A, NEIGHBOUR, OUR_MAC])
  })
})

test("frames that aren't IP come from our own Ethernet address", () => {
  const { fixture, notice } = setUp()
  notice("192.0.2.77", NEIGHBOUR)
  const offset = fixture.tap.beginFrame(MacAddress.parse(A), 0x0806, 28)
  fixture.tap.endFrame(offset, 28)
  expect(new MacAddress().read(new DataView(flushed(fixture)[0].bytes.buffer), 6).toString()).toBe(OUR_MAC)
})

test("segments that the link cuts come from the neighbour", () => {
  const fixture = new Fixture(offloads)
  fixture.tap.hostNeighbours.notice(Address.parse("192.0.2.77"), MacAddress.parse(NEIGHBOUR))
  const options = { checksumOffset: 16, segmentSize: 1440, headerLength: 20 }
  send(fixture, towards("192.0.2.77", "192.0.2.10"), 6, pattern(20 + 14_400), options)
  expect(parse(flushed(fixture)[0].bytes).source).toBe(NEIGHBOUR)
})
