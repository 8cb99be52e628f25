import { Address, MacAddress } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { Fixture } from "../../test/fixture.ts"
import { ethernet, ipv4, ipv6, OUR_MAC, pattern, udp } from "../../test/packets.ts"

const A = "02:00:00:00:00:0a"
const B = "02:00:00:00:00:0b"
const ADDRESS = "192.0.2.2"
const packet = (mac: string, from = ADDRESS) => ipv4(17, udp([1, 2], pattern(4)), { from, to: "198.51.100.7", mac })

function setUp() {
  const happened: string[] = []
  const fixture = new Fixture(
    {},
    {
      guestV4: Address.parse(ADDRESS),
      onOtherGuest: () => {
        happened.push("other guest")
        fixture.tap.forgetGuest()
      },
    },
  )
  fixture.onSequence = (sequence) => happened.push(String(sequence.sourceMac))
  fixture.deliver(packet(A), packet(B, "192.0.2.3"))
  happened.length = 0
  return {
    fixture,
    happened,
    startsOver: (mac: string, wasStarted = true) =>
      fixture.tap.neighbours.startsOver(MacAddress.parse(mac), wasStarted),
  }
}

describe("after the link was gone", () => {
  test("the guest is the same if a station from before speaks first", () => {
    const { fixture, happened } = setUp()
    fixture.tap.reconnected()
    fixture.deliver(packet(B, "192.0.2.3"), packet("02:00:00:00:00:0c", "192.0.2.4"))
    expect(happened).toEqual([B, "02:00:00:00:00:0c"])
  })

  test("the guest is another one if a new station speaks first, and its frame is the other guest's", () => {
    const { fixture, happened } = setUp()
    fixture.tap.reconnected()
    fixture.deliver(packet("02:00:00:00:00:0c"), packet(A))
    expect(happened).toEqual(["other guest", "02:00:00:00:00:0c", A])
    expect(String(fixture.tap.lastSeenV4)).toBe(ADDRESS)
  })

  test("a frame of ours that was sent back counts for nothing", () => {
    const { fixture, happened } = setUp()
    fixture.tap.reconnected()
    fixture.deliver(packet(OUR_MAC, "192.0.2.1"), packet(A))
    expect(happened).toEqual([OUR_MAC, A])
  })

  test("a new station behind what is no frame is another guest", () => {
    const { fixture, happened } = setUp()
    fixture.tap.reconnected()
    fixture.deliver(new Uint8Array(10), packet("02:00:00:00:00:0c"))
    expect(happened).toEqual(["other guest", "02:00:00:00:00:0c"])
  })

  test("what is no frame counts for nothing", () => {
    const { fixture, happened } = setUp()
    fixture.tap.reconnected()
    fixture.deliver(new Uint8Array(10), ethernet(0x0806, pattern(28), "03:00:00:00:00:01"), packet(A))
    expect(happened).toEqual([A])
  })

  test("the guest is another one if the station with its address was started, once", () => {
    const { fixture, happened, startsOver } = setUp()
    fixture.tap.reconnected()
    fixture.onSequence = () => startsOver(A)
    fixture.deliver(packet(A))
    expect(happened).toEqual(["other guest"])
    fixture.deliver(packet(A))
    expect(happened).toEqual(["other guest"])
  })

  test("the guest is the same if it asks for an address but may have run on", () => {
    const { fixture, happened, startsOver } = setUp()
    fixture.tap.reconnected()
    fixture.onSequence = () => startsOver(A, false)
    fixture.deliver(packet(A))
    expect(happened).toEqual([])
    fixture.onSequence = () => startsOver(A)
    fixture.deliver(packet(A))
    expect(happened).toEqual(["other guest"])
  })

  test("a guest that has used no IPv4 is another one if a station was started", () => {
    const happened: string[] = []
    const fixture = new Fixture({}, { onOtherGuest: () => happened.push("other guest") })
    fixture.deliver(ipv6(17, udp([1, 2], pattern(4)), { from: "2001:db8::b", to: "2001:db8:1::7", mac: A }))
    fixture.tap.reconnected()
    fixture.onSequence = () => fixture.tap.neighbours.startsOver(MacAddress.parse(A), true)
    fixture.deliver(packet(A, "0.0.0.0"))
    expect(happened).toEqual(["other guest"])
  })

  test("the guest is the same if another of its stations was started, or if it was so later", () => {
    const { fixture, happened, startsOver } = setUp()
    fixture.tap.reconnected()
    fixture.onSequence = () => startsOver(B)
    fixture.deliver(packet(A))
    fixture.clock.now += 120_000
    fixture.onSequence = () => startsOver(A)
    fixture.deliver(packet(A))
    expect(happened).toEqual([])
  })
})

test("the guest is another one if its station of IPv4 was started, wherever IPv6 was seen last", () => {
  const { fixture, happened, startsOver } = setUp()
  fixture.deliver(packet(B, "2001:db8::b"))
  fixture.tap.reconnected()
  fixture.onSequence = () => startsOver(A)
  happened.length = 0
  fixture.deliver(packet(A))
  expect(happened).toEqual(["other guest"])
})

test("a guest that is started with its link in place is the same", () => {
  const { fixture, happened, startsOver } = setUp()
  fixture.onSequence = () => startsOver(A)
  fixture.deliver(packet(A), packet("02:00:00:00:00:0c"))
  expect(happened).toEqual([])
})

test("the first guest of all is no other one", () => {
  const happened: string[] = []
  const fixture = new Fixture({}, { onOtherGuest: () => happened.push("other guest") })
  fixture.tap.reconnected()
  fixture.onSequence = () => fixture.tap.neighbours.startsOver(MacAddress.parse(A), true)
  fixture.deliver(packet(A))
  expect(happened).toEqual([])
})
