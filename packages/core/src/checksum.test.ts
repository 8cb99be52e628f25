import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { Address } from "./address.ts"
import { addSums, finishChecksum, finishUdpChecksum, foldSum, sumBytes, sumPseudoHeader } from "./checksum.ts"
import { Demiflow, Interface } from "./demiflow.ts"

/** RFC 1071, section 1, word by word. */
function referenceSum(bytes: Uint8Array, initial = 0): number {
  let sum = BigInt(initial)
  for (let index = 0; index < bytes.length; index += 2) {
    sum += BigInt(bytes[index] * 256 + (index + 1 < bytes.length ? bytes[index + 1] : 0))
  }
  while (sum > 0xffffn) sum = (sum & 0xffffn) + (sum >> 16n)
  return Number(sum)
}

const folded = fc.integer({ min: 0, max: 0xffff })

describe("sums", () => {
  test("the example of RFC 1071, section 3", () => {
    const view = new DataView(Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7).buffer)
    expect(sumBytes(view, 0, 8, 0)).toBe(0xddf2)
    expect(finishChecksum(0xddf2)).toBe(0x220d)
  })

  test("are those of the definition, at every offset, length and initial value", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.integer({ min: 0, max: 7 }),
        folded,
        (bytes, offset, initial) => {
          const memory = new Uint8Array(bytes.length + offset + 8).fill(0xa5)
          memory.set(bytes, offset)
          const sum = sumBytes(new DataView(memory.buffer), offset, bytes.length, initial)
          expect(sum).toBe(referenceSum(bytes, initial))
        },
      ),
    )
  })

  test("don't overflow: 8 MiB of ones", () => {
    const bytes = new Uint8Array(8 << 20).fill(0xff)
    expect(sumBytes(new DataView(bytes.buffer), 0, bytes.length, 0xffff)).toBe(0xffff)
    expect(sumBytes(new DataView(bytes.buffer), 0, bytes.length - 1, 0)).toBe(0xff00)
  })

  test("can be made of parts of even length", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(100), (bytes, cut) => {
        const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
        const even = Math.min(cut, bytes.length) & ~1
        const head = sumBytes(view, 0, even, 0)
        const tail = sumBytes(view, even, bytes.length - even, 0)
        expect(addSums(head, tail)).toBe(sumBytes(view, 0, bytes.length, 0))
      }),
    )
  })

  test("fold 32 bits", () => {
    expect(foldSum(0xffff_ffff)).toBe(0xffff)
    expect(foldSum(0x1_0000)).toBe(1)
    expect(foldSum(0xffff_0001)).toBe(1)
    expect(foldSum(0)).toBe(0)
  })
})

describe("what stands in the field", () => {
  test("makes the whole add up to all ones", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4, maxLength: 80 }), (bytes) => {
        const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
        view.setUint16(2, 0)
        view.setUint16(2, finishChecksum(sumBytes(view, 0, bytes.length, 0)))
        expect(sumBytes(view, 0, bytes.length, 0)).toBe(0xffff)
      }),
    )
  })

  test("is never zero for UDP", () => {
    expect(finishChecksum(0xffff)).toBe(0)
    expect(finishUdpChecksum(0xffff)).toBe(0xffff)
    expect(finishUdpChecksum(0)).toBe(0xffff)
    expect(finishUdpChecksum(0x1234)).toBe(0xedcb)
  })
})

describe("pseudo-headers", () => {
  const word = fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff })
  const pair = fc.boolean().chain((isV4) => {
    const address = isV4
      ? word.map((value) => Address.fromV4(value))
      : fc.tuple(word, word, word, word).map((words) => new Address(...words))
    return fc.tuple(address, address)
  })

  test("are summed as RFC 9293 (IPv4) and RFC 8200 (IPv6) lay them out", () => {
    fc.assert(
      fc.property(
        pair,
        fc.integer({ min: 0, max: 255 }),
        fc.integer({ min: 0, max: 70_000 }),
        ([a, b], protocol, n) => {
          const length = a.isV4 ? n & 0xffff : n
          const tail = [length >>> 24, (length >>> 16) & 255, (length >>> 8) & 255, length & 255, 0, 0, 0, protocol]
          const header = Uint8Array.from([...a.toBytes(), ...b.toBytes(), ...tail])
          const demiflow = Demiflow.of(Interface.tap, a, 1, b, 2)
          expect(sumPseudoHeader(demiflow, protocol, length)).toBe(referenceSum(header))
          const reverse = Demiflow.of(Interface.tap, b, 2, a, 1)
          expect(sumPseudoHeader(reverse, protocol, length)).toBe(referenceSum(header))
        },
      ),
    )
  })
})
