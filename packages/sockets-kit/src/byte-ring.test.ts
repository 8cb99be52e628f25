import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { ByteRing } from "./byte-ring.ts"

describe("a ring of bytes", () => {
  test("gives back what was put in, from any place on, whatever is put in and dropped when", () => {
    const step = fc.oneof(
      fc.record({ push: fc.uint8Array({ maxLength: 9_000 }) }),
      fc.record({ fill: fc.nat(90_000) }),
      fc.record({ drop: fc.nat(9_000) }),
      fc.record({ drop: fc.nat(90_000) }),
      fc.record({ skip: fc.nat(30_000), length: fc.nat(30_000) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const ring = new ByteRing()
        let expected: number[] = []
        for (const each of steps) {
          if ("push" in each) {
            ring.push(each.push)
            expected = expected.concat(...each.push)
          } else if ("fill" in each) {
            const bytes = Uint8Array.from({ length: each.fill }, (_, index) => index * 7)
            ring.push(bytes)
            expected = expected.concat([...bytes])
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
          expect(ring.heldBytes).toBeLessThanOrEqual(Math.max(64 << 10, 4 * expected.length))
        }
      }),
      { numRuns: 40 },
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

  test("holds memory for what it has, not for what it once had", () => {
    const ring = new ByteRing()
    ring.push(new Uint8Array(1 << 20))
    expect(ring.heldBytes).toBe(1 << 20)
    ring.drop((1 << 20) - 1)
    expect(ring.heldBytes).toBe(64 << 10)
    ring.drop(1)
    expect(ring.heldBytes).toBe(0)
  })

  test("isn't moved again by a few bytes more or less", () => {
    const ring = new ByteRing()
    const held = new Set<number>()
    ring.push(new Uint8Array(1 << 20))
    ring.drop(3 << 18)
    for (let count = 0; count < 100; count++) {
      ring.push(new Uint8Array(1_000))
      ring.drop(1_000)
      held.add(ring.heldBytes)
    }
    expect([...held]).toEqual([512 << 10])
  })
})
