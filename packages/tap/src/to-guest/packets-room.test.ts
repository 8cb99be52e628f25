import { CHECKSUM_DONE, MacAddress } from "@demiflow/core"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { Fixture } from "../../test/fixture.ts"
import { ethernet, hasRightChecksum, OUR_MAC, parse, pattern, udp } from "../../test/packets.ts"
import { flushed, four, send, six } from "../../test/sending.ts"

describe("several packets at a time", () => {
  test("may be open, and ended in any order", () => {
    const fixture = new Fixture({}, { transmitBytes: 1 << 20, reassemblySlots: 1 })
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(30), { minLength: 1, maxLength: 20 }), (order) => {
        const begun = new Map(
          [...order]
            .sort((a, b) => a - b)
            .map((key) => {
              const demiflow = key % 2 === 0 ? four : six
              const offset = fixture.tap.begin(demiflow, 17, 200)
              fixture.arena.bytes.set(udp([53, 4000], pattern(key + 20, key)), offset)
              return [key, offset]
            }),
        )
        for (const key of order) fixture.tap.end(begun.get(key) ?? -1, key + 28, 6)
        const packets = flushed(fixture).map((frame) => parse(frame.bytes))
        expect(packets.map((packet) => packet.transport.slice(8))).toEqual(order.map((key) => pattern(key + 20, key)))
        expect(packets.every((packet) => hasRightChecksum(packet))).toBe(true)
      }),
      { numRuns: 50 },
    )
  })

  test("may be taken back from one on, those ended before excepted", () => {
    const fixture = new Fixture()
    const offsets = [1, 2, 3, 4].map((seed) => {
      const offset = fixture.tap.begin(four, 253, 100)
      fixture.arena.bytes.set(pattern(100, seed), offset)
      return offset
    })
    fixture.tap.end(offsets[2], 100, CHECKSUM_DONE)
    fixture.tap.abandon(offsets[1])
    // Ended too late: already taken back.
    fixture.tap.end(offsets[1], 100, CHECKSUM_DONE)
    fixture.tap.end(offsets[3], 100, CHECKSUM_DONE)
    fixture.tap.end(offsets[0], 100, CHECKSUM_DONE)
    // The memory of the waiting packet isn't given to another.
    send(fixture, four, 253, pattern(300, 5))
    const packets = flushed(fixture).map((frame) => parse(frame.bytes))
    expect(packets.map((packet) => packet.transport)).toEqual([pattern(100, 3), pattern(100, 1), pattern(300, 5)])
  })

  test("taken back, they cost no room", () => {
    const fixture = new Fixture()
    const first = fixture.tap.begin(four, 253, 100)
    const second = fixture.tap.begin(six, 253, 1000)
    fixture.tap.begin(four, 253, 1000)
    fixture.tap.abandon(second)
    expect(fixture.tap.begin(four, 253, 1000)).toBe(second)
    fixture.tap.abandon(first)
    expect(fixture.tap.begin(four, 253, 100)).toBe(first)
  })

  test("have room where that was promised, though others wait to be sent", () => {
    const fixture = new Fixture({}, { transmitBytes: 1 << 15, reassemblySlots: 1 })
    send(fixture, four, 253, pattern(1000))
    let packets = 1
    while (fixture.tap.hasRoom(1000, packets + 1)) packets++
    const offsets = Array.from({ length: packets }, () => fixture.tap.begin(four, 253, 1000))
    expect(Math.min(...offsets)).toBeGreaterThanOrEqual(0)
  })

  test("are sent once, however often they are ended", () => {
    const fixture = new Fixture()
    const offset = send(fixture, four, 253, pattern(10))
    fixture.tap.end(offset, 10, CHECKSUM_DONE)
    fixture.tap.end(-1, 10, CHECKSUM_DONE)
    expect(flushed(fixture)).toHaveLength(1)
    expect(flushed(fixture)).toHaveLength(0)
  })
})

describe("room", () => {
  test("comes back with each flush: the same memory serves every turn", () => {
    const fixture = new Fixture()
    const offsets = new Set(
      Array.from({ length: 5 }, () => {
        const offset = send(fixture, four, 253, pattern(10))
        flushed(fixture)
        return offset
      }),
    )
    expect(offsets.size).toBe(1)
  })

  test("is what a packet uses, not what it asked for", () => {
    const fixture = new Fixture({ mtu: 65_520 }, { transmitBytes: 256 << 10 })
    for (let index = 0; index < 100; index++) {
      const offset = fixture.tap.begin(four, 253, 65_515)
      expect(offset).toBeGreaterThan(0)
      fixture.tap.end(offset, 20, CHECKSUM_DONE)
    }
    expect(fixture.received()).toHaveLength(0)
    expect(flushed(fixture)).toHaveLength(100)
  })

  test("used up: what is ready is sent, unless a packet is open, which the end of the turn takes back", () => {
    const fixture = new Fixture({ mtu: 65_520 }, { transmitBytes: 130 << 10 })
    const large = pattern(60_000)
    send(fixture, four, 253, large)
    send(fixture, four, 253, large)
    expect(fixture.received()).toHaveLength(0)
    const open = fixture.tap.begin(four, 253, 60_000)
    expect(open).toBeGreaterThan(0)
    expect(fixture.received()).toHaveLength(2)
    expect(fixture.tap.begin(four, 253, 60_000)).toBeGreaterThan(0)
    expect(fixture.tap.begin(four, 253, 60_000)).toBe(-1)
    fixture.tap.flush()
    expect(fixture.tap.begin(four, 253, 60_000)).toBe(-1)
    fixture.tap.endTurn()
    expect(fixture.drops.entries()).toEqual([
      ["tap: no room for a packet (nobody)", 2],
      ["tap: begun and not ended (nobody)", 2],
    ])
    expect(fixture.tap.begin(four, 253, 60_000)).toBe(open)
  })

  test("of a packet that the end of the turn took back isn't the packet's any more", () => {
    const fixture = new Fixture()
    const forgotten = fixture.tap.begin(four, 253, 100)
    fixture.tap.endTurn()
    fixture.tap.end(forgotten, 100, CHECKSUM_DONE)
    fixture.tap.redirect(forgotten, six, 253)
    const [first, second] = [fixture.tap.begin(four, 253, 100), fixture.tap.begin(four, 253, 100)]
    expect(second).toBeGreaterThan(first)
    fixture.tap.end(second, 10, CHECKSUM_DONE)
    fixture.tap.end(first, 10, CHECKSUM_DONE)
    expect(flushed(fixture)).toHaveLength(2)
  })

  test("that will never be there is refused", () => {
    const fixture = new Fixture({}, { transmitBytes: 32 << 10 })
    expect(fixture.tap.begin(four, 253, 60_000)).toBe(-1)
    expect(fixture.tap.begin(four, 253, 1000)).toBeGreaterThan(0)
  })

  test("more frames than the link takes at a time go in several batches", () => {
    const fixture = new Fixture()
    for (let index = 0; index < 700; index++) send(fixture, four, 253, pattern(5, index))
    expect(flushed(fixture).map((frame) => parse(frame.bytes).transport)).toEqual(
      Array.from({ length: 700 }, (_, index) => pattern(5, index)),
    )
  })

  test("frames that the link does not take are counted", () => {
    const fixture = new Fixture()
    for (let index = 0; index < 1500; index++) send(fixture, four, 253, pattern(5, index))
    expect(flushed(fixture)).toHaveLength(1024)
    expect(fixture.drops.entries()).toEqual([["link: full", 476]])
    send(fixture, four, 253, pattern(9))
    expect(flushed(fixture)).toHaveLength(1)
  })
})

describe("frames that aren't IP", () => {
  test("go to the address given", () => {
    const fixture = new Fixture({ headroom: 12 })
    const offset = fixture.tap.beginFrame(MacAddress.parse("02:00:00:00:00:44"), 0x0806, 100)
    fixture.arena.bytes.set(pattern(28), offset)
    fixture.tap.endFrame(offset, 28)
    expect(flushed(fixture).map((frame) => frame.bytes)).toEqual([
      ethernet(0x0806, pattern(28), OUR_MAC, "02:00:00:00:00:44"),
    ])
  })

  test("can be taken back, and are no packets", () => {
    const fixture = new Fixture()
    const offset = fixture.tap.beginFrame(fixture.tap.guestMac, 0x0806, 100)
    fixture.tap.end(offset, 28, CHECKSUM_DONE)
    fixture.tap.abandon(offset)
    fixture.tap.endFrame(offset, 28)
    const packet = fixture.tap.begin(four, 253, 10)
    fixture.tap.endFrame(packet, 10)
    expect(flushed(fixture)).toEqual([])
    const long = fixture.tap.beginFrame(fixture.tap.guestMac, 0x0806, 100)
    fixture.tap.endFrame(long, 1000)
    expect(fixture.drops.total).toBe(1)
  })
})

describe("set-up", () => {
  test.each([67, 0, Number.NaN, -1])("an MTU of %d is refused", (mtu) => {
    expect(() => new Fixture({}, { mtu })).toThrow(RangeError)
  })

  test("packets are not taken before there is a stack", () => {
    const { tap, link, clock, drops, arena } = new Fixture()
    const unattached = new (tap.constructor as typeof import("../tap-side.ts").TapSide)({
      link,
      clock,
      drops,
      random: { int32: () => 0 },
      ourMac: tap.ourMac,
      ourLinkLocal: tap.ourLinkLocal,
      transmitBytes: 1 << 20,
      reassemblySlots: 1,
    })
    expect(arena.remaining).toBeGreaterThan(0)
    expect(() => unattached.receive()).toThrow(expect.objectContaining({ code: "ERR_TAP_NOT_ATTACHED" }))
  })
})

test("a packet without room counts under the name of its handler, and the question for room counts nothing", () => {
  const fixture = new Fixture({}, { transmitBytes: 64 << 10, reassemblySlots: 1 })
  const { tap, drops } = fixture
  while (tap.hasRoom(8_000)) expect(tap.begin(four, 253, 8_000)).toBeGreaterThanOrEqual(0)
  expect(drops.total).toBe(0)
  expect([tap.begin(four, 253, 8_000), tap.beginFrame(new MacAddress(), 0x0806, 8_000)]).toEqual([-1, -1])
  expect(drops.entries()).toEqual([["tap: no room for a packet (nobody)", 2]])
  // What is larger than the whole region has no room ever.
  fixture.tap.endTurn()
  expect([tap.hasRoom(65_515), tap.begin(four, 253, 65_515)]).toEqual([false, -1])
})

test("room for several packets is room for one after another", () => {
  const { tap } = new Fixture({}, { transmitBytes: 64 << 10, reassemblySlots: 1 })
  let packets = 1
  while (tap.hasRoom(8_001, packets + 1)) packets++
  expect(packets).toBeGreaterThan(1)
  for (let begun = 0; begun < packets; begun++) expect(tap.begin(four, 253, 8_001)).toBeGreaterThanOrEqual(0)
  expect([tap.hasRoom(8_001), tap.begin(four, 253, 8_001)]).toEqual([false, -1])
})
