import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { advance, distance, later } from "../connection/sequence-number.ts"
import { readSynOptions, synOptionsLength, writeSynOptions } from "./wire.ts"

function read(bytes: readonly number[]) {
  const options = { maximumSegmentSize: -1, windowScale: -2 }
  const view = new DataView(Uint8Array.from(bytes).buffer)
  readSynOptions(view, 0, bytes.length, options)
  return options
}

describe("SYN options", () => {
  it("reads what Linux sends", () => {
    const linux = [2, 4, 0x05, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7]
    expect(read(linux)).toEqual({ maximumSegmentSize: 1460, windowScale: 7 })
  })

  // RFC 7323 2.3
  it("limits the window scale to 14 (RFC 7323, section 2.3)", () => {
    expect(read([3, 3, 255]).windowScale).toBe(14)
  })

  // RFC 9293 3.1
  it("stops at a length that leads nowhere", () => {
    expect(read([2, 0, 5, 180])).toEqual({ maximumSegmentSize: 0, windowScale: -1 })
    expect(read([2, 4, 5])).toEqual({ maximumSegmentSize: 0, windowScale: -1 })
    expect(read([2])).toEqual({ maximumSegmentSize: 0, windowScale: -1 })
    expect(read([0, 2, 4, 5, 180])).toEqual({ maximumSegmentSize: 0, windowScale: -1 })
  })

  it("never reads outside, whatever stands there (property)", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const { maximumSegmentSize, windowScale } = read([...bytes])
        expect(maximumSegmentSize).toBeGreaterThanOrEqual(0)
        expect(windowScale).toBeGreaterThanOrEqual(-1)
        expect(windowScale).toBeLessThanOrEqual(14)
      }),
    )
  })

  it("reads what it writes", () => {
    for (const windowScale of [-1, 0, 8]) {
      const length = synOptionsLength(windowScale)
      const view = new DataView(new ArrayBuffer(length))
      writeSynOptions(view, 0, 65_480, windowScale)
      expect(read([...new Uint8Array(view.buffer)])).toEqual({ maximumSegmentSize: 65_480, windowScale })
    }
  })
})

describe("sequence numbers", () => {
  it("go on beyond 2^31 and 2^32", () => {
    for (const start of [0, 0x7ffffff0, -16, -0x80000000]) {
      expect(distance(start, advance(start, 100))).toBe(100)
      expect(distance(advance(start, 100), start)).toBe(-100)
      expect(later(start | 0, advance(start, 1))).toBe(advance(start, 1))
    }
  })
})
