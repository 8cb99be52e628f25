import { describe, expect, test } from "vitest"
import { datagramsIn, LARGEST_PAYLOAD, NOTHING_WHOLE, wholeLength } from "./leaving-together.ts"

describe("what was received", () => {
  test("is whole if there was room for it", () => {
    for (const [length, segmentSize] of [
      [0, 0],
      [LARGEST_PAYLOAD, 0],
      [LARGEST_PAYLOAD, 1000],
    ]) {
      expect(wholeLength(length, segmentSize)).toBe(length)
    }
  })

  test("is nothing if its end was cut off, but for what is whole of several", () => {
    expect(wholeLength(LARGEST_PAYLOAD + 1, 0)).toBe(NOTHING_WHOLE)
    expect(wholeLength(LARGEST_PAYLOAD + 1, 40_000)).toBe(40_000)
    expect(wholeLength(LARGEST_PAYLOAD + 1, 1000)).toBe(65_000)
    expect(wholeLength(LARGEST_PAYLOAD + 1, LARGEST_PAYLOAD + 1)).toBe(NOTHING_WHOLE)
  })

  test("holds as many datagrams as have been left together", () => {
    expect([datagramsIn(0, 0), datagramsIn(100, 0), datagramsIn(100, 50), datagramsIn(101, 50)]).toEqual([1, 1, 2, 3])
  })
})
