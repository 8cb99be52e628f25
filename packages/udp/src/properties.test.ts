import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { Bench, pattern } from "./test-support/bench.ts"
import { families } from "./test-support/families.ts"
import { cut } from "./test-support/strict-guest.ts"

/** Bytes changed in a packet: where (modulo its length), and to what. */
const changes = fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 6 })
const datagrams = fc.array(
  fc.record({
    length: fc.nat(70),
    changes,
    available: fc.option(fc.nat(90), { nil: undefined }),
    hopLimit: fc.constantFrom(0, 1, 64, 255),
  }),
  { minLength: 1, maxLength: 12 },
)

describe.each(Object.entries(families))("whatever the guest sends over %s", (_, { guest, server }) => {
  test("nothing throws, and each packet is sent or counted", () => {
    fc.assert(
      fc.property(datagrams, fc.nat(65_535), (list, port) => {
        const bench = new Bench({ room: 1 << 18 })
        bench.fromGuest(
          guest,
          port ^ 0x5555,
          server,
          port,
          ...list.map(({ length, changes, available, hopLimit }) => ({
            payload: pattern(length),
            available,
            hopLimit,
            spoil: (packet: Uint8Array) => {
              for (const [at, value] of changes) packet[at % packet.length] = value
            },
          })),
        )
        const sent = bench.sockets.sockets.flatMap((socket) => socket.datagrams)
        expect(sent.length + bench.drops.total).toBe(list.length)
        expect(bench.flows.size).toBe(sent.length > 0 ? 1 : 0)
      }),
      { numRuns: 150 },
    )
  })

  test("what is sent is what was there, datagram by datagram, whatever was left together by whom", () => {
    const sizes = fc.constantFrom(0, 1, 10, 10, 10, 1400, 1400, 1400, 9001)
    const list = fc.array(fc.record({ length: sizes, segmentSize: fc.constantFrom(0, 0, 0, 72, 700) }), {
      minLength: 1,
    })
    fc.assert(
      fc.property(list, (packets) => {
        const bench = new Bench({ room: 1 << 18 })
        const datagrams = packets.map((packet, index) => ({ ...packet, payload: pattern(packet.length, index) }))
        bench.fromGuest(guest, 1, server, 2, { payload: pattern(0) })
        bench.fromGuest(guest, 1, server, 2, ...datagrams.map(({ payload, segmentSize }) => ({ payload, segmentSize })))
        const expected = datagrams.flatMap(({ payload, segmentSize }) =>
          segmentSize < payload.length ? cut(payload, segmentSize) : [payload],
        )
        const [, ...sent] = bench.socket.datagrams
        expect(sent.map(({ length }) => length)).toEqual(expected.map(({ length }) => length))
        expect(sent.every((bytes, index) => bytes.every((byte, at) => byte === expected[index][at]))).toBe(true)
      }),
      { numRuns: 100 },
    )
  })
})
