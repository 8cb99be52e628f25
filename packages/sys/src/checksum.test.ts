import { sumBytes } from "@demiflow/core"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { arena, native } from "./test-support.ts"

const REGION = 80_000
const base = arena.reserve(REGION, 64)

/** RFC 1071 as defined, one word at a time, with integers of any size. */
function reference(offset: number, length: number, initial: number): number {
  let sum = BigInt(initial)
  for (let at = 0; at < length; at += 2) {
    const low = at + 1 < length ? arena.bytes[offset + at + 1] : 0
    sum += BigInt((arena.bytes[offset + at] << 8) | low)
  }
  while (sum > 0xffffn) sum = (sum & 0xffffn) + (sum >> 16n)
  return Number(sum)
}

const initial = fc.oneof(fc.integer({ min: 0, max: 0xffff }), fc.constantFrom(0, 0xffff, 0x10000, 0xffffffff))

describe("native checksum", () => {
  for (const call of ["checksum", "checksumPortable"] as const) {
    it(`${call} agrees with the definition at any offset, length and start`, () => {
      fc.assert(
        fc.property(
          fc.uint8Array({ minLength: 0, maxLength: 700 }),
          fc.integer({ min: 0, max: 70 }),
          initial,
          (content, shift, start) => {
            arena.bytes.set(content, base + shift)
            const expected = reference(base + shift, content.length, start)
            expect(native[call](base + shift, content.length, start | 0)).toBe(expected)
          },
        ),
      )
    })

    it(`${call} carries through the largest packets`, () => {
      for (const fill of [0xff, 0xfe, 0x00]) {
        arena.bytes.fill(fill, base, base + REGION)
        for (const length of [65_535, 65_536, 79_999]) {
          expect(native[call](base + 1, length, -1)).toBe(reference(base + 1, length, 0xffffffff))
        }
      }
    })
  }

  it("is what the arena sums with, short and long, and agrees with the TypeScript of core", () => {
    for (let index = 0; index < REGION; index++) arena.bytes[base + index] = (index * 167 + (index >> 8)) & 255
    for (const length of [0, 1, 20, 127, 128, 129, 255, 256, 257, 1459, 1460, 65_535]) {
      for (const start of [0, 1, 0xffff]) {
        expect(arena.sum(base + 3, length, start)).toBe(sumBytes(arena.view, base + 3, length, start))
      }
    }
  })

  it("chains over ranges of even length", () => {
    const whole = native.checksum(base, 5001, 77)
    expect(native.checksum(base + 2002, 2999, native.checksum(base, 2002, 77))).toBe(whole)
  })

  it("refuses to sum beyond the arena", () => {
    const end = arena.buffer.byteLength
    for (const length of [101, 1001]) expect(() => arena.sum(end - length + 1, length, 0)).toThrow(RangeError)
  })

  it("copies between ranges that overlap", () => {
    arena.bytes.set([1, 2, 3, 4, 5, 6], base)
    expect(native.copy(base, base + 2, 4)).toBe(0)
    expect([...arena.bytes.subarray(base, base + 6)]).toEqual([1, 2, 1, 2, 3, 4])
  })
})
