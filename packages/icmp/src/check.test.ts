import { Address, Arena, Drops, finishChecksum, IpProtocol, SequenceBuffer, sumPseudoHeader } from "@demiflow/core"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { checkEchoRequest, isAboutTheLink, SOUND } from "./check.ts"
import { icmpReasons } from "./reasons.ts"

const arena = new Arena(1 << 17)
const start = arena.reserve(1 << 16)
const reasons = icmpReasons(new Drops())
let sequence = new SequenceBuffer(2)

/** Writes one sound message of `length` bytes, for the caller to spoil. */
function put(family: "v4" | "v6", type: number, code = 0, length = 64): void {
  sequence = new SequenceBuffer(2)
  sequence.protocol = family === "v4" ? IpProtocol.icmp : IpProtocol.icmpv6
  const [from, to] = family === "v4" ? ["192.0.2.2", "198.51.100.7"] : ["2001:db8::2", "2001:db8:1::7"]
  sequence.demiflow.correspondentAddress.copyFrom(Address.parse(from))
  sequence.demiflow.forwardingAddress.copyFrom(Address.parse(to))
  sequence.count = 1
  sequence.transportOffset[0] = start
  sequence.endOffset[0] = start + length
  sequence.hopLimit[0] = 64
  const { view } = arena
  for (let index = 0; index < length; index++) view.setUint8(start + index, index * 5)
  view.setUint8(start, type)
  view.setUint8(start + 1, code)
  view.setUint16(start + 2, 0)
  const pseudo = family === "v4" ? 0 : sumPseudoHeader(sequence.demiflow, IpProtocol.icmpv6, length)
  view.setUint16(start + 2, finishChecksum(arena.sum(start, length, pseudo)))
}

const check = () => checkEchoRequest(arena, sequence, 0, reasons)

describe.each([
  ["v4", 8, 0],
  ["v6", 128, 129],
] as const)("%s", (family, request, reply) => {
  test("an echo request is sound, whatever its length", () => {
    for (const length of [8, 9, 64, 65_515]) {
      put(family, request, 0, length)
      expect(check()).toBe(SOUND)
    }
  })

  test("less than a header is truncated", () => {
    put(family, request)
    for (const length of [0, 1, 7]) {
      sequence.endOffset[0] = start + length
      expect(check()).toBe(reasons.truncated)
      expect(isAboutTheLink(arena, sequence)).toBe(false)
    }
  })

  // RFC 4443 2.1
  test("any changed bit is a bad checksum, unless the link vouches for it", () => {
    fc.assert(
      fc.property(fc.integer({ min: 16, max: 64 * 8 - 1 }), (bit) => {
        put(family, request)
        const at = start + (bit >> 3)
        arena.view.setUint8(at, arena.view.getUint8(at) ^ (1 << (bit & 7)))
        expect(check()).toBe(reasons.checksum)
        sequence.checksumTrusted[0] = 1
        expect(check()).toBe(SOUND)
      }),
    )
  })

  // RFC 1122 3.2.1.7
  test("a hop limit of 0 must not be", () => {
    put(family, request)
    sequence.hopLimit[0] = 0
    expect(check()).toBe(reasons.hopLimit)
  })

  test("replies, and requests with a code, aren't requests", () => {
    put(family, reply)
    expect(check()).toBe(reasons.unsupported)
    put(family, request, 1)
    expect(check()).toBe(reasons.unsupported)
  })

  test("errors are distinguished", () => {
    for (const type of family === "v4" ? [3, 11, 12] : [0, 1, 2, 3, 4, 100, 127]) {
      put(family, type)
      expect(check()).toBe(reasons.errorFromGuest)
    }
  })

  test("the protocol of the other version of IP is wrong", () => {
    put(family, request)
    sequence.protocol = family === "v4" ? IpProtocol.icmpv6 : IpProtocol.icmp
    expect(check()).toBe(reasons.wrongVersion)
  })
})

test("neighbour and listener discovery are about the link, and nothing else is", () => {
  const about = []
  for (let type = 0; type < 256; type++) {
    put("v6", type)
    if (isAboutTheLink(arena, sequence)) about.push(type)
    put("v4", type)
    expect(isAboutTheLink(arena, sequence)).toBe(false)
  }
  expect(about).toEqual([130, 131, 132, 133, 134, 135, 136, 137, 143])
})

test("one message about the link among echo requests decides for the sequence", () => {
  put("v6", 128)
  sequence.transportOffset[1] = start + 100
  sequence.endOffset[1] = start + 132
  sequence.count = 2
  arena.view.setUint8(start + 100, 128)
  expect(isAboutTheLink(arena, sequence)).toBe(false)
  arena.view.setUint8(start + 100, 135)
  expect(isAboutTheLink(arena, sequence)).toBe(true)
})
