import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { expectBytes } from "../../test/expect-bytes.ts"
import { Fixture } from "../../test/fixture.ts"
import { ipv4, ipv6, join, pattern, u16, u32, udp } from "../../test/packets.ts"

interface Piece {
  readonly position: number
  readonly bytes: Uint8Array
  readonly hasMore: boolean
}

/** Cuts a datagram at the given positions, multiples of eight. */
function cut(bytes: Uint8Array, ...positions: number[]): Piece[] {
  const starts = [0, ...positions]
  return starts.map((position, index) => ({
    position,
    bytes: bytes.slice(position, starts[index + 1]),
    hasMore: index < starts.length - 1,
  }))
}

interface Family {
  readonly name: string
  frame(piece: Piece, options?: { identification?: number; from?: string; protocol?: number }): Uint8Array
  readonly timeout: number
  readonly demiflow: string
  /** Largest transport header and payload. */
  readonly most: number
}

const families: Family[] = [
  {
    name: "IPv4",
    frame: ({ position, bytes, hasMore }, { identification = 1, from = "192.0.2.2", protocol = 17 } = {}) => {
      const flagsAndOffset = (hasMore ? 0x2000 : 0) | (position / 8)
      return ipv4(protocol, bytes, { from, to: "198.51.100.7", identification, flagsAndOffset, padding: 3 })
    },
    timeout: 30_000,
    demiflow: "tap 198.51.100.7:53 → 192.0.2.2:4000",
    most: 65_515,
  },
  {
    name: "IPv6",
    frame: ({ position, bytes, hasMore }, { identification = 1, from = "2001:db8::2", protocol = 17 } = {}) => {
      const header = Uint8Array.from([protocol, 0, ...u16(position | (hasMore ? 1 : 0)), ...u32(identification)])
      return ipv6(44, join(header, bytes), { from, to: "2001:db8:1::7" })
    },
    timeout: 60_000,
    demiflow: "tap [2001:db8:1::7]:53 → [2001:db8::2]:4000",
    most: 65_535,
  },
]

const datagram = udp([4000, 53], pattern(3000))
const whole = (sequences: { packets: { transport: Uint8Array }[] }[]) =>
  sequences.flatMap((sequence) => sequence.packets.map((packet) => packet.transport))

describe.each(families)("fragments of $name", ({ frame, timeout, demiflow, most }) => {
  const pieces = cut(datagram, 1000, 2000)
  const frames = pieces.map((piece) => frame(piece))

  test("become one packet", () => {
    const fixture = new Fixture()
    const sequences = fixture.deliver(...frames)
    expect(sequences.map((sequence) => sequence.demiflow)).toEqual([demiflow])
    expect(whole(sequences)).toEqual([datagram])
    expect(sequences[0].packets[0]).toMatchObject({ hopLimit: 64, segmentSize: 0, trusted: false })
    expect(fixture.drops.total).toBe(0)
  })

  // RFC 1122 3.3.2
  test("become one packet in whatever order they come and however they are cut, among others", () => {
    const cuts = fc.uniqueArray(fc.integer({ min: 1, max: 374 }), { maxLength: 20 })
    fc.assert(
      fc.property(cuts, fc.infiniteStream(fc.nat()), (positions, order) => {
        const fixture = new Fixture()
        const sorted = positions.map((position) => position * 8).sort((a, b) => a - b)
        const shuffled = [1, 2]
          .flatMap((identification) => {
            const bytes = udp([4000, 53], pattern(3000, identification))
            return cut(bytes, ...sorted).map((piece) => frame(piece, { identification }))
          })
          .map((bytes) => ({ bytes, key: order.next().value }))
          .sort((a, b) => a.key - b.key)
        const sequences = fixture.deliver(...shuffled.map(({ bytes }) => bytes))
        const packets = whole(sequences).sort((a, b) => a[8] - b[8])
        expect(packets).toHaveLength(2)
        const expected = [1, 2].map((seed) => udp([4000, 53], pattern(3000, seed))).sort((a, b) => a[8] - b[8])
        for (const [index, packet] of packets.entries()) expectBytes(packet, expected[index])
        expect(fixture.drops.total).toBe(0)
      }),
      { numRuns: 40 },
    )
  })

  test("of a guest that went are not put together with those of the next", () => {
    const fixture = new Fixture()
    fixture.deliver(frames[0], frames[1])
    fixture.tap.forgetGuest()
    expect(fixture.deliver(frames[2])).toEqual([])
    expect(fixture.drops.entries()).toEqual([["fragment: its guest is gone", 2]])
  })

  test("of the largest datagram", () => {
    const bytes = pattern(most)
    const positions = Array.from({ length: 44 }, (_, index) => (index + 1) * 1480)
    const fixture = new Fixture()
    const [packet] = whole(fixture.deliver(...cut(bytes, ...positions).map((piece) => frame(piece))))
    expectBytes(packet, bytes)
  })

  // RFC 8200 4.5 (length)
  test("that reach beyond the largest packet are dropped", () => {
    const fixture = new Fixture()
    fixture.deliver(frame({ position: 65_528, bytes: pattern(8), hasMore: false }))
    expect(fixture.drops.entries()).toEqual([["fragment: length", 1]])
  })

  test.each<[string, Piece]>([
    // RFC 8200 4.5 (length)
    ["not a multiple of eight bytes and not the last", { position: 0, bytes: pattern(12), hasMore: true }],
    ["empty", { position: 8, bytes: pattern(0), hasMore: true }],
    ["empty and the last", { position: 8, bytes: pattern(0), hasMore: false }],
  ])("%s: dropped", (_, piece) => {
    const fixture = new Fixture()
    fixture.deliver(frame(piece))
    expect(fixture.drops.entries()).toEqual([["fragment: length", 1]])
  })

  test("that are sent twice are ignored the second time", () => {
    const fixture = new Fixture()
    expect(whole(fixture.deliver(frames[0], frames[0], frames[2], frames[2], frames[1]))).toEqual([datagram])
    expect(fixture.drops.entries()).toEqual([["fragment: duplicate", 2]])
  })

  test.each<[string, Piece]>([
    // RFC 5722 4
    ["overlaps with other bytes", { position: 0, bytes: pattern(1000, 9), hasMore: true }],
    ["overlaps in part", { position: 8, bytes: datagram.slice(8, 1016), hasMore: true }],
    ["ends before what is there", { position: 8, bytes: pattern(4), hasMore: false }],
  ])("of which one %s: the datagram is dropped, and what comes of it later (RFC 5722)", (_, overlapping) => {
    const fixture = new Fixture()
    expect(fixture.deliver(frames[0], frame(overlapping), frames[1], frames[2])).toEqual([])
    expect(fixture.drops.entries()).toEqual([["fragment: overlap", 4]])
    fixture.clock.now += timeout
    expect(whole(fixture.deliver(...frames))).toEqual([datagram])
  })

  test.each<[string, Piece]>([
    ["behind the end", { position: 3016, bytes: pattern(8), hasMore: true }],
    ["another end", { position: 3008, bytes: pattern(64), hasMore: false }],
  ])("that say %s: the datagram is dropped", (_, contradicting) => {
    const fixture = new Fixture()
    expect(fixture.deliver(frames[2], frame(contradicting), frames[0], frames[1])).toEqual([])
    expect(fixture.drops.entries()).toEqual([["fragment: overlap", 4]])
  })

  // RFC 8200 4.5 (timeout), RFC 1122 3.3.2 (timeout)
  test("are waited for so long and no longer", () => {
    const fixture = new Fixture()
    fixture.deliver(frames[0], frames[1])
    fixture.clock.now += timeout - 1
    expect(whole(fixture.deliver(frames[2]))).toEqual([datagram])
    fixture.deliver(frames[0], frames[1])
    fixture.clock.now += timeout
    expect(fixture.deliver(frames[2])).toEqual([])
    expect(fixture.drops.entries()).toEqual([["fragment: timeout", 2]])
  })

  // RFC 791 3.2, RFC 8200 4.5 (key)
  test("of different senders, protocols and packets don't mix", () => {
    const fixture = new Fixture()
    const [head, , tail] = pieces
    const other = { "192.0.2.2": "192.0.2.3", "2001:db8::2": "2001:db8::3" }
    const from = frame === families[0].frame ? other["192.0.2.2"] : other["2001:db8::2"]
    fixture.deliver(frame(head), frame(pieces[1], { identification: 2 }), frame(tail, { from }))
    expect(fixture.seen).toEqual([])
    expect(whole(fixture.deliver(frame(pieces[1]), frame(tail)))).toEqual([datagram])
  })

  test("of more datagrams than there is room for push out the oldest", () => {
    const fixture = new Fixture({}, { reassemblySlots: 2 })
    for (const identification of [1, 2, 3]) {
      fixture.clock.now++
      fixture.deliver(frame(pieces[0], { identification }), frame(pieces[1], { identification }))
    }
    expect(fixture.drops.entries()).toEqual([["fragment: too many datagrams at a time", 2]])
    expect(whole(fixture.deliver(frame(pieces[2], { identification: 3 })))).toEqual([datagram])
    expect(whole(fixture.deliver(frame(pieces[2], { identification: 2 })))).toEqual([datagram])
    expect(fixture.deliver(frame(pieces[2], { identification: 1 }))).toEqual([])
  })

  test("leave the order of packets alone", () => {
    const fixture = new Fixture()
    const plain = frame({ position: 0, bytes: udp([4000, 53], pattern(8)), hasMore: false })
    const lengths = whole(fixture.deliver(plain, plain, ...frames, plain)).map((bytes) => bytes.length)
    expect(lengths).toEqual([16, 16, datagram.length, 16])
  })
})

describe("what differs", () => {
  // RFC 8200 4.5 (whole)
  test("IPv6: extension headers behind the fragment header are walked, those before it are gone", () => {
    const options = Uint8Array.of(17, 0, 1, 4, 0, 0, 0, 0)
    const pieces = cut(join(options, datagram), 1000)
    const fixture = new Fixture()
    expect(whole(fixture.deliver(...pieces.map((piece) => families[1].frame(piece, { protocol: 60 }))))).toEqual([
      datagram,
    ])
  })

  // RFC 8200 4.5 (nested)
  test("IPv6: a fragment of a fragment is dropped", () => {
    const inner = Uint8Array.from([17, 0, ...u16(1), ...u32(7)])
    const pieces = cut(join(inner, datagram), 1000)
    const fixture = new Fixture()
    expect(fixture.deliver(...pieces.map((piece) => families[1].frame(piece, { protocol: 44 })))).toEqual([])
    expect(fixture.drops.entries()).toEqual([["ip6: extension header out of place", 1]])
  })

  // RFC 8200 4.5 (next-header)
  test("IPv6: the protocol is what the first fragment says", () => {
    const [head, tail] = cut(datagram, 1000)
    const fixture = new Fixture()
    const sequences = fixture.deliver(families[1].frame(tail, { protocol: 6 }), families[1].frame(head))
    expect(sequences.map((sequence) => sequence.protocol)).toEqual([17])
  })

  // RFC 1122 3.2.1.8
  test("IPv4: options of the fragments are left out", () => {
    const from = { from: "192.0.2.2", to: "198.51.100.7", identification: 9 }
    const [head, tail] = cut(datagram, 1000)
    const fixture = new Fixture()
    const sequences = fixture.deliver(
      ipv4(17, head.bytes, { ...from, flagsAndOffset: 0x2000, options: [7, 7, 4, 0, 0, 0, 0, 0], hopLimit: 9 }),
      ipv4(17, tail.bytes, { ...from, flagsAndOffset: 125, hopLimit: 8 }),
    )
    expect(whole(sequences)).toEqual([datagram])
    expect(sequences[0].packets[0].hopLimit).toBe(9)
  })

  test("addresses are checked of what was put together", () => {
    const fixture = new Fixture()
    fixture.deliver(...cut(datagram, 1000).map((piece) => families[0].frame(piece, { from: "127.0.0.1" })))
    expect(fixture.drops.entries()).toEqual([["ip4: loopback address", 1]])
  })
})
