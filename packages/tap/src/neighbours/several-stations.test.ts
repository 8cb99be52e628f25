/** A link with several stations: each receives its own packets, and only frames for us are accepted. */
import { Address, MacAddress } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { Fixture } from "../../test/fixture.ts"
import { ethernet, ipv4, ipv6, OUR_MAC, parse, pattern, udp } from "../../test/packets.ts"
import { flushed, send, towards } from "../../test/sending.ts"

const A = "02:00:00:00:00:0a"
const B = "02:00:00:00:00:0b"
const datagram = udp([4000, 53], pattern(20))
const versions = [
  { name: "IPv4", build: ipv4, a: "192.0.2.10", b: "192.0.2.11", world: "198.51.100.7" },
  { name: "IPv6", build: ipv6, a: "2001:db8::a", b: "2001:db8::b", world: "2001:db8:1::7" },
]

/** The Ethernet destination of a packet to the address. */
function stationOf(fixture: Fixture, world: string, address: string): string {
  send(fixture, towards(world, address), 17, datagram)
  return parse(flushed(fixture)[0].bytes).target
}

describe.each(versions)(
  "5. The destination of every packet to the guest is filled in per packet: $name",
  ({ build, a, b, world }) => {
    test("each station gets the packets to its address", () => {
      const fixture = new Fixture()
      fixture.deliver(
        build(17, datagram, { from: a, to: world, mac: A }),
        build(17, datagram, { from: b, to: world, mac: B }),
      )
      expect([stationOf(fixture, world, a), stationOf(fixture, world, b)]).toEqual([A, B])
    })

    test("one that speaks last changes nothing for the others", () => {
      const fixture = new Fixture()
      fixture.deliver(build(17, datagram, { from: a, to: world, mac: A }), ethernet(0x0806, pattern(28), B))
      expect(stationOf(fixture, world, a)).toBe(A)
    })

    test("an address is where it was seen last, or announced, if all of that is at one moment, too", () => {
      const fixture = new Fixture()
      const from = (mac: string) => fixture.deliver(build(17, datagram, { from: a, to: world, mac }))
      const seen: string[] = []
      from(A)
      fixture.tap.neighbours.announce(Address.parse(a), MacAddress.parse(B), true)
      seen.push(stationOf(fixture, world, a))
      from(A)
      seen.push(stationOf(fixture, world, a))
      from(B)
      seen.push(stationOf(fixture, world, a))
      from(A)
      expect([...seen, stationOf(fixture, world, a)]).toEqual([B, A, B, A])
    })

    test("an address whose station isn't known is at the one heard last, and asked for", () => {
      const fixture = new Fixture()
      const asked: string[] = []
      fixture.tap.neighbours.askWith(!b.includes(":"), (address) => asked.push(String(address)))
      expect(stationOf(fixture, world, b)).toBe("ff:ff:ff:ff:ff:ff")
      fixture.deliver(build(17, datagram, { from: a, to: world, mac: A }))
      expect([stationOf(fixture, world, b), asked]).toEqual([A, [b]])
      fixture.tap.neighbours.announce(Address.parse(b), MacAddress.parse(B), true)
      expect([stationOf(fixture, world, b), stationOf(fixture, world, a)]).toEqual([B, A])
    })

    test("a station without an address of its own is answered where it is", () => {
      const fixture = new Fixture()
      fixture.deliver(build(17, datagram, { from: a, to: world, mac: A }))
      const offset = fixture.tap.begin(towards(world, a), 17, 28, 255, MacAddress.parse(B))
      fixture.tap.end(offset, 28, -1)
      expect(parse(flushed(fixture)[0].bytes).target).toBe(B)
    })

    test("a frame of ours that was sent back says nothing of the guest", () => {
      const fixture = new Fixture()
      const lastSeen = () => {
        const { guestMac, lastSeenV4, lastSeenV6 } = fixture.tap
        return [guestMac, lastSeenV4, lastSeenV6].map(String)
      }
      fixture.deliver(build(17, datagram, { from: a, to: world, mac: A }))
      const before = lastSeen()
      fixture.deliver(build(17, datagram, { from: b, to: world, mac: OUR_MAC }))
      expect([lastSeen(), stationOf(fixture, world, b)]).toEqual([before, A])
    })

    test("a guest that has our Ethernet address is found there", () => {
      const fixture = new Fixture()
      fixture.deliver(build(17, datagram, { from: a, to: world, mac: OUR_MAC }))
      expect([stationOf(fixture, world, a), fixture.seen.length]).toEqual([OUR_MAC, 1])
    })

    test("what one station sends to another is not ours", () => {
      const fixture = new Fixture()
      const between = ethernet(
        build === ipv4 ? 0x0800 : 0x86dd,
        build(17, datagram, { from: a, to: b }).slice(14),
        A,
        B,
      )
      fixture.deliver(build(17, datagram, { from: b, to: world, mac: B }))
      expect(fixture.deliver(between)).toEqual([])
      expect(fixture.drops.entries()).toEqual([["eth: for another station", 1]])
    })

    test("an Ethernet address that nobody has may be one that we had", () => {
      const fixture = new Fixture()
      const toOld = ethernet(
        build === ipv4 ? 0x0800 : 0x86dd,
        build(17, datagram, { from: a, to: world }).slice(14),
        A,
        B,
      )
      expect(fixture.deliver(toOld)).toHaveLength(1)
    })

    test("what we sent comes back from a bridge, and teaches nothing", () => {
      const fixture = new Fixture()
      fixture.deliver(
        build(17, datagram, { from: a, to: world, mac: A }),
        build(17, datagram, { from: a, to: world, mac: OUR_MAC }),
      )
      expect(stationOf(fixture, world, a)).toBe(A)
    })
  },
)

describe.each(versions)("what is started towards the guest: $name", ({ build, a, b, world }) => {
  const isV4 = build === ipv4
  const lastSeen = ({ tap }: Fixture) => String(isV4 ? tap.lastSeenV4 : tap.lastSeenV6)
  const options = (isFixed: boolean) => ({
    guestV4: Address.parse("192.0.2.10"),
    guestV6: Address.parse("2001:db8::a"),
    guestV4PrefixLength: 24,
    guestV6PrefixLength: 64,
    isGuestV4Fixed: isFixed,
    isGuestV6Fixed: isFixed,
  })

  test("goes to the address of its network that was seen last", () => {
    const fixture = new Fixture({}, options(false))
    fixture.deliver(build(17, datagram, { from: b, to: world }))
    expect(lastSeen(fixture)).toBe(b)
    fixture.deliver(build(17, datagram, { from: world, to: a }))
    expect(lastSeen(fixture)).toBe(b)
  })

  test("goes to another address as well once a station announced it", () => {
    const fixture = new Fixture({}, options(false))
    const other = isV4 ? "10.9.9.9" : "2001:db8:9::9"
    fixture.tap.neighbours.announce(Address.parse(other), MacAddress.parse(A), true)
    expect(lastSeen(fixture)).toBe(other)
    fixture.deliver(build(17, datagram, { from: a, to: world }), build(17, datagram, { from: other, to: world }))
    expect(lastSeen(fixture)).toBe(other)
  })

  test("goes to an address that was asked, if a station has it and the user chose none", () => {
    for (const isFixed of [false, true]) {
      const fixture = new Fixture({}, options(isFixed))
      const has = (address: string, isAssumed = false) => fixture.tap.hasAddress(Address.parse(address), isAssumed)
      expect([has(a), has(b), has(b, true)]).toEqual([isFixed, false, !isFixed])
      fixture.deliver(build(17, datagram, { from: b, to: world }))
      expect([has(b), has(world)]).toEqual([!isFixed, false])
    }
  })

  test("goes to the address that the user chose, whichever is used", () => {
    const fixture = new Fixture({}, options(true))
    fixture.deliver(build(17, datagram, { from: b, to: world }))
    fixture.tap.neighbours.announce(Address.parse(b), MacAddress.parse(A), true)
    expect(lastSeen(fixture)).toBe(a)
  })
})
