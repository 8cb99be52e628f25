import { Address, MacAddress } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { CountingRandom, ManualClock } from "../../test/fixture.ts"
import { type HostNeighbourOptions, HostNeighbourTable } from "./host-neighbour-table.ts"
import { Stations } from "./stations.ts"

const OURS = MacAddress.parse("9a:55:9a:55:9a:55")
const GUEST = MacAddress.parse("02:00:00:00:00:02")
const A = MacAddress.parse("02:00:00:00:00:0a")
const B = MacAddress.parse("02:00:00:00:00:0b")
const ROUTER = MacAddress.parse("02:00:00:00:00:01")
const at = (text: string) => Address.parse(text)

function setUp(options: HostNeighbourOptions = {}) {
  const clock = new ManualClock()
  const random = new CountingRandom()
  const stations = new Stations(clock, random, 1500)
  const lastHeard = GUEST.clone()
  const table = new HostNeighbourTable(clock, random, OURS, stations, lastHeard, options)
  const announced: string[] = []
  for (const isV4 of [true, false]) {
    table.announceWith(isV4, (address) => announced.push(`${address} at ${table.macOf(address)}`))
  }
  const macOf = (text: string) => String(table.macOf(at(text)))
  const notice = (text: string, mac: MacAddress) => table.notice(at(text), mac)
  return { clock, stations, lastHeard, table, announced, macOf, notice }
}

const versions = [
  { name: "IPv4", a: "192.0.2.10", b: "192.0.2.11", router: "192.0.2.1" },
  { name: "IPv6", a: "2001:db8::a", b: "fe80::b", router: "fe80::1" },
]

describe.each(versions)("a neighbour of the host: $name", ({ a, b, router }) => {
  test("is at our Ethernet address until it is reported, and then at its own", () => {
    const { macOf, notice, table } = setUp()
    expect([macOf(a), table.has(at(a))]).toEqual([String(OURS), false])
    notice(a, A)
    expect([macOf(a), macOf(b), table.has(at(a)), table.has(at(b))]).toEqual([String(A), String(OURS), true, false])
    notice(b, B)
    expect([macOf(a), macOf(b)]).toEqual([String(A), String(B)])
  })

  test("is announced when it is new, and when its Ethernet address changes, to a guest that is there", () => {
    const { notice, announced, lastHeard } = setUp()
    lastHeard.copyFrom(new MacAddress(0xffff, -1))
    notice(a, B)
    expect(announced).toEqual([])
    lastHeard.copyFrom(GUEST)
    notice(a, B)
    notice(b, B)
    notice(a, A)
    notice(a, A)
    expect(announced).toEqual([`${b} at ${B}`, `${a} at ${A}`])
  })

  test("is not shown with an Ethernet address of the guest's link, ours, a group's, or none", () => {
    const { macOf, notice, stations, announced } = setUp()
    stations.notice(A.high, A.low)
    for (const mac of [A, OURS, MacAddress.parse("01:00:5e:00:00:01"), new MacAddress()]) notice(a, mac)
    expect([macOf(a), announced]).toEqual([String(OURS), []])
  })

  test("is hidden as long as a station of the guest's link has its Ethernet address", () => {
    const { macOf, notice, stations } = setUp()
    notice(a, A)
    expect(macOf(a)).toBe(String(A))
    stations.notice(A.high, A.low)
    expect(macOf(a)).toBe(String(OURS))
    stations.forget()
    expect(macOf(a)).toBe(String(A))
  })

  test("can't have an address that is ours", () => {
    const { macOf, notice, table } = setUp({ ourAddresses: [at(a)] })
    notice(a, A)
    notice(b, B)
    expect([macOf(a), table.has(at(a)), macOf(b)]).toEqual([String(OURS), false, String(B)])
  })

  test("that is the router lends its Ethernet address to whatever is no neighbour, and not ours", () => {
    const { macOf, notice, table } = setUp({ ourAddresses: [at(b)], routerV4: at(router), routerV6: at(router) })
    notice(router, ROUTER)
    expect([macOf(router), macOf(a), macOf(b), table.has(at(a))]).toEqual([
      String(ROUTER),
      String(ROUTER),
      String(OURS),
      false,
    ])
    expect([table.shows(at(a), ROUTER), table.shows(at(a), A), table.shows(at(b), OURS)]).toEqual([true, false, false])
    notice(a, A)
    expect(macOf(a)).toBe(String(A))
  })
})

test.each(["224.0.0.251", "255.255.255.255", "0.0.0.0", "127.0.0.1", "::", "::1", "ff02::1"])(
  "%s is nobody's neighbour",
  (address) => {
    const { macOf, notice, announced } = setUp()
    notice(address, A)
    expect([macOf(address), announced]).toEqual([String(OURS), []])
  },
)

describe("a noisy neighbourhood", () => {
  test("is announced at a limited rate", () => {
    const { clock, notice, announced } = setUp()
    const flap = (count: number) => {
      for (let index = 0; index < count; index++) notice("192.0.2.10", index % 2 === 0 ? A : B)
    }
    flap(1000)
    expect(announced).toHaveLength(64)
    clock.now += 1000
    flap(1000)
    expect(announced).toHaveLength(80)
  })

  test("takes the places of those that were reported longest ago", () => {
    const { clock, notice, macOf } = setUp({ ourAddresses: [at("192.0.2.1")] })
    for (let host = 10; host < 110; host++) notice(`192.0.2.${host}`, A)
    for (let count = 0; count < 20_000; count++) {
      clock.now++
      if (count % 1000 === 0) for (let host = 10; host < 60; host++) notice(`192.0.2.${host}`, A)
      notice(String(Address.fromV4(0x0a000000 + count)), B)
    }
    const kept = Array.from({ length: 50 }, (_, index) => macOf(`192.0.2.${index + 10}`))
    expect(kept).toEqual(Array(50).fill(String(A)))
    expect([macOf("192.0.2.109"), macOf("192.0.2.1")]).toEqual([String(OURS), String(OURS)])
    notice("192.0.2.1", B)
    expect(macOf("192.0.2.1")).toBe(String(OURS))
  })
})
