import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { ByteRing } from "./byte-ring.ts"

describe("a ring of bytes", () => {
  test("gives back what was put in, from any place on, whatever is put in and dropped when", () => {
    const step = fc.oneof(
      fc.record({ push: fc.uint8Array({ maxLength: 9_000 }) }),
      fc.record({ drop: fc.nat(9_000) }),
      fc.record({ skip: fc.nat(30_000), length: fc.nat(30_000) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const ring = new ByteRing()
        let expected: number[] = []
        for (const each of steps) {
          if ("push" in each) {
            ring.push(each.push)
            expected = expected.concat(...each.push)
          } else if ("drop" in each) {
            expect(ring.drop(each.drop)).toBe(Math.min(each.drop, expected.length))
            expected = expected.slice(each.drop)
          } else {
            const into = new Uint8Array(each.length + 2)
            const content = expected.slice(each.skip, each.skip + each.length)
            expect(ring.copy(each.skip, into, 1, each.length)).toBe(content.length)
            const rest = new Array<number>(each.length + 1 - content.length).fill(0)
            expect([...into]).toEqual([0, ...content, ...rest])
          }
          expect(ring.length).toBe(expected.length)
        }
      }),
      { numRuns: 60 },
    )
  })

  test("is empty once cleared, and can be filled again", () => {
    const ring = new ByteRing()
    ring.push(Uint8Array.of(1, 2, 3))
    ring.clear()
    expect(ring.length).toBe(0)
    ring.push(Uint8Array.of(4))
    const into = new Uint8Array(1)
    expect(ring.copy(0, into, 0, 1)).toBe(1)
    expect(into[0]).toBe(4)
  })
})
