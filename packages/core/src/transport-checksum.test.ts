import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { Address } from "./address.ts"
import { Arena } from "./arena.ts"
import { finishUdpChecksum, sumPseudoHeader } from "./checksum.ts"
import { SequenceBuffer } from "./sequence.ts"
import { transportChecksumIsRight } from "./transport-checksum.ts"

const OFFSET = 33
const checksumField: Record<number, number> = { 1: 2, 6: 16, 17: 6, 58: 2 }

/** A packet of the protocol with a valid checksum, as packet 1 of a sequence. */
function packet(protocol: number, isV4: boolean, payload: Uint8Array) {
  const arena = new Arena(2048)
  const sequence = new SequenceBuffer(2)
  const { demiflow } = sequence
  demiflow.correspondentAddress.copyFrom(Address.parse(isV4 ? "192.0.2.2" : "2001:db8::2"))
  demiflow.forwardingAddress.copyFrom(Address.parse(isV4 ? "198.51.100.7" : "2001:db8:1::7"))
  const length = 20 + payload.length
  arena.bytes.set(payload, OFFSET + 20)
  if (protocol === 17) arena.view.setUint16(OFFSET + 4, length)
  sequence.protocol = protocol
  sequence.count = 2
  sequence.transportOffset[1] = OFFSET
  sequence.endOffset[1] = OFFSET + length
  const field = OFFSET + checksumField[protocol]
  const pseudo = protocol === 1 ? 0 : sumPseudoHeader(demiflow, protocol, length)
  arena.view.setUint16(field, finishUdpChecksum(arena.sum(OFFSET, length, pseudo)))
  return { arena, sequence, field, length }
}

const payload = fc.uint8Array({ maxLength: 100 })
const kind = fc.constantFrom<[number, boolean]>([1, true], [6, true], [17, true], [6, false], [17, false], [58, false])

describe("transportChecksumIsRight", () => {
  test("takes right packets, and none in which a bit is wrong", () => {
    fc.assert(
      fc.property(kind, payload, fc.nat(), ([protocol, isV4], bytes, where) => {
        const { arena, sequence, length, field } = packet(protocol, isV4, bytes)
        expect(transportChecksumIsRight(arena, sequence, 1)).toBe(true)
        const bit = where % (length * 8)
        const position = OFFSET + (bit >> 3)
        arena.bytes[position] ^= 1 << (bit & 7)
        const becameNone = protocol === 17 && isV4 && arena.view.getUint16(field) === 0
        expect(transportChecksumIsRight(arena, sequence, 1)).toBe(becameNone)
      }),
    )
  })

  test("covers both addresses and the length", () => {
    const { arena, sequence } = packet(6, false, Uint8Array.of(0, 0))
    sequence.demiflow.correspondentAddress.word1 ^= 1
    expect(transportChecksumIsRight(arena, sequence, 1)).toBe(false)
    sequence.demiflow.correspondentAddress.word1 ^= 1
    sequence.demiflow.forwardingAddress.word3 ^= 0x100
    expect(transportChecksumIsRight(arena, sequence, 1)).toBe(false)
    sequence.demiflow.forwardingAddress.word3 ^= 0x100
    sequence.endOffset[1] -= 2
    expect(transportChecksumIsRight(arena, sequence, 1)).toBe(false)
    sequence.endOffset[1] += 2
    expect(transportChecksumIsRight(arena, sequence, 1)).toBe(true)
  })

  test("UDP without a checksum is right over IPv4 only", () => {
    for (const isV4 of [true, false]) {
      const { arena, sequence, field } = packet(17, isV4, Uint8Array.of(1, 2, 3))
      arena.view.setUint16(field, 0)
      expect(transportChecksumIsRight(arena, sequence, 1)).toBe(isV4)
    }
  })

  test("UDP is summed as far as it says that it goes", () => {
    const { arena, sequence } = packet(17, true, Uint8Array.of(1, 2, 3))
    arena.bytes[sequence.endOffset[1]] = 99
    sequence.endOffset[1]++
    expect(transportChecksumIsRight(arena, sequence, 1)).toBe(true)
    sequence.endOffset[1] -= 2
    expect(transportChecksumIsRight(arena, sequence, 1)).toBe(false)
    sequence.endOffset[1] = OFFSET + 7
    expect(transportChecksumIsRight(arena, sequence, 1)).toBe(false)
  })
})
