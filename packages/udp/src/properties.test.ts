import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { Bench, pattern } from "./test-support/bench.ts"
import { families } from "./test-support/families.ts"

/** Bytes changed in a packet: where (modulo its length), and to what. */
const changes = fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 6 })
const datagrams = fc.array(
  fc.record({
    length: fc.nat(70),
    changes,
    available: fc.option(fc.nat(90), { nil: undefined }),
    hopLimit: fc.constantFrom(0, 1, 64, 255),
    segmentSize: fc.constantFrom(0, 0, 0, 10, 70),
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
          ...list.map(({ length, changes, available, hopLimit, segmentSize }) => ({
            payload: pattern(length),
            available,
            hopLimit,
            segmentSize,
            spoil: (packet: Uint8Array) => {
              for (const [at, value] of changes) packet[at % packet.length] = value
            },
          })),
        )
        const sent = bench.host.sockets.flatMap((socket) => socket.sent)
        expect(sent.length + bench.drops.total).toBe(list.length)
        expect(bench.flows.size).toBe(sent.length > 0 ? 1 : 0)
      }),
      { numRuns: 150 },
    )
  })
})
