import { Address, Arena, Drops, finishUdpChecksum, IpProtocol, SequenceBuffer, sumPseudoHeader } from "@demiflow/core"
import fc from "fast-check"
import { beforeEach, describe, expect, test } from "vitest"
import { checkDatagram, payloadLength, SOUND } from "./check.ts"
import { udpReasons } from "./reasons.ts"

const arena = new Arena(1 << 17)
const start = arena.reserve(1 << 16)
const reasons = udpReasons(new Drops())
let sequence: SequenceBuffer

/** Writes one sound packet of `available` bytes, for the caller to spoil. */
function put(family: "v4" | "v6", payload: number, available = payload + 8): void {
  sequence = new SequenceBuffer(1)
  sequence.protocol = IpProtocol.udp
  const [from, to] = family === "v4" ? ["192.0.2.2", "198.51.100.7"] : ["2001:db8::2", "2001:db8:1::7"]
  sequence.demiflow.correspondentAddress.copyFrom(Address.parse(from))
  sequence.demiflow.forwardingAddress.copyFrom(Address.parse(to))
  sequence.count = 1
  sequence.transportOffset[0] = start
  sequence.endOffset[0] = start + available
  sequence.hopLimit[0] = 64
  const { view } = arena
  for (let index = 0; index < available; index++) view.setUint8(start + index, index * 7)
  view.setUint16(start, 40_000)
  view.setUint16(start + 2, 53)
  view.setUint16(start + 4, payload + 8)
  view.setUint16(start + 6, 0)
  const sum = arena.sum(start, payload + 8, sumPseudoHeader(sequence.demiflow, IpProtocol.udp, payload + 8))
  view.setUint16(start + 6, finishUdpChecksum(sum))
}

const check = () => checkDatagram(arena, sequence, 0, reasons)

describe.each(["v4", "v6"] as const)("%s", (family) => {
  beforeEach(() => put(family, 100))

  test("a right datagram is sound, whatever its length", () => {
    for (const length of [0, 1, 2, 1472, 65_507]) {
      put(family, length)
      expect(check()).toBe(SOUND)
      expect(payloadLength(arena, sequence, 0)).toBe(length)
    }
  })

  test("what lies behind the length that the header says isn't the datagram's", () => {
    put(family, 5, 20)
    expect(check()).toBe(SOUND)
    expect(payloadLength(arena, sequence, 0)).toBe(5)
  })

  test("less than a header is truncated", () => {
    for (const available of [0, 1, 7]) {
      sequence.endOffset[0] = start + available
      expect(check()).toBe(reasons.truncated)
    }
  })

  // RFC 768 fields (length)
  test("a length field below 8 or beyond the packet is bad", () => {
    for (const length of [0, 7, 109, 65_535]) {
      arena.view.setUint16(start + 4, length)
      expect(check()).toBe(reasons.length)
    }
  })

  // RFC 1122 4.1.3.4
  test("any changed bit is a bad checksum, unless the link vouches for it", () => {
    fc.assert(
      fc.property(fc.integer({ min: 6 * 8, max: 108 * 8 - 1 }), (bit) => {
        put(family, 100)
        const at = start + (bit >> 3)
        arena.view.setUint8(at, arena.view.getUint8(at) ^ (1 << (bit & 7)))
        expect(check()).toBe(reasons.checksum)
        sequence.checksumTrusted[0] = 1
        expect(check()).toBe(SOUND)
      }),
    )
  })

  test("a hop limit of 0 must not be", () => {
    sequence.hopLimit[0] = 0
    expect(check()).toBe(reasons.hopLimit)
  })

  test("more datagrams together than any system leaves so are none", () => {
    for (const [segmentSize, payload, verdict] of [
      [1, 128, SOUND],
      [1, 129, reasons.tooMany],
      [1, 65_507, reasons.tooMany],
      [500, 63_501, SOUND],
      [500, 64_001, reasons.tooMany],
    ] as const) {
      put(family, payload)
      sequence.segmentSize[0] = segmentSize
      sequence.checksumTrusted[0] = 1
      expect([segmentSize, payload, check()]).toEqual([segmentSize, payload, verdict])
    }
  })

  test("datagrams that the link left together are measured by the packet, not by the length field", () => {
    arena.view.setUint16(start + 4, 33)
    sequence.segmentSize[0] = 25
    sequence.checksumTrusted[0] = 1
    expect(check()).toBe(SOUND)
    expect(payloadLength(arena, sequence, 0)).toBe(100)
  })
})

// RFC 8200 8.1, RFC 1122 4.1.3.4 (none)
test("no checksum is fine over IPv4 and not over IPv6, even if the link vouches for it", () => {
  put("v4", 10)
  arena.view.setUint16(start + 6, 0)
  expect(check()).toBe(SOUND)
  put("v6", 10)
  arena.view.setUint16(start + 6, 0)
  expect(check()).toBe(reasons.noChecksum)
  sequence.checksumTrusted[0] = 1
  expect(check()).toBe(reasons.noChecksum)
})
