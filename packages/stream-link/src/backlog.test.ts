import { Arena, Vectors } from "@demiflow/core"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Backlog } from "./backlog.ts"

const SIZE = 100
const arena = new Arena(8192)
const source = arena.reserve(256)
for (let index = 0; index < 256; index++) arena.bytes[source + index] = index
const vectors = new Vectors(arena, 2)
const backlog = new Backlog(arena, SIZE)

/** All waiting bytes, as described by the vectors. */
function waiting(): number[] {
  const bytes: number[] = []
  const count = backlog.describe(vectors)
  for (let index = 0; index < count; index++) {
    const offset = vectors.offsetAt(index)
    bytes.push(...arena.bytes.subarray(offset, offset + vectors.lengthAt(index)))
  }
  return bytes
}

describe("Backlog", () => {
  it("keeps bytes in their order, whole or not at all", () => {
    const step = fc.record({ put: fc.integer({ min: 0, max: SIZE + 5 }), taken: fc.integer({ min: 0, max: SIZE }) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        backlog.clear()
        let expected: number[] = []
        for (const { put, taken } of steps) {
          const from = put % 50
          const fits = expected.length + put <= SIZE
          expect(backlog.put(source + from, put)).toBe(fits)
          if (fits) expected.push(...arena.bytes.subarray(source + from, source + from + put))
          expect(waiting()).toEqual(expected)
          const less = Math.min(taken, expected.length)
          backlog.taken(less)
          expected = expected.slice(less)
          expect(waiting()).toEqual(expected)
          expect([backlog.length, backlog.isEmpty]).toEqual([expected.length, expected.length === 0])
        }
      }),
    )
  })
})
