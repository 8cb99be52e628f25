import { Arena, Vectors } from "@demiflow/core"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type Held, HOLD_BLOCK_SIZE, HoldPool } from "./hold-pool.ts"

function nothing(): Held {
  return { heldBytes: 0, heldFirst: -1, heldLast: -1, heldStart: 0 }
}

function setUp(blocks: number) {
  const arena = new Arena(1 << 20)
  const pool = new HoldPool(arena, blocks * HOLD_BLOCK_SIZE)
  const vectors = new Vectors(arena, 64)
  const scratch = arena.reserve(128 << 10)
  return { arena, pool, vectors, scratch }
}

describe("HoldPool", () => {
  it("gives back what was kept, in order, over connections that share it (property)", () => {
    const step = fc.record({
      who: fc.integer({ min: 0, max: 2 }),
      keep: fc.option(fc.integer({ min: 1, max: 70_000 })),
      drop: fc.double({ min: 0, max: 1, noNaN: true }),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { arena, pool, vectors, scratch } = setUp(12)
        const held = [nothing(), nothing(), nothing()]
        const model: number[][] = [[], [], []]
        let next = 0
        for (const { who, keep, drop } of steps) {
          if (keep !== null) {
            for (let index = 0; index < keep; index++) arena.bytes[scratch + index] = (next + index) & 255
            const kept = pool.keep(held[who], scratch, keep)
            for (let index = 0; index < kept; index++) model[who].push((next + index) & 255)
            next += keep
            if (kept < keep) expect(pool.free).toBe(0)
          } else {
            const bytes = Math.floor(drop * model[who].length)
            pool.drop(held[who], bytes)
            model[who].splice(0, bytes)
          }
          for (const [index, one] of held.entries()) {
            const count = pool.fill(one, vectors)
            const read: number[] = []
            for (let vector = 0; vector < count; vector++) {
              const offset = vectors.offsetAt(vector)
              read.push(...arena.bytes.subarray(offset, offset + vectors.lengthAt(vector)))
            }
            expect(one.heldBytes).toBe(model[index].length)
            expect(read.length).toBe(one.heldBytes)
            expect(Buffer.compare(Buffer.from(read), Buffer.from(model[index]))).toBe(0)
          }
        }
        for (const one of held) pool.clear(one)
        expect(pool.free).toBe(12 * HOLD_BLOCK_SIZE)
      }),
      { numRuns: 40 },
    )
  })

  it("says how much there was room for", () => {
    const { pool, scratch } = setUp(2)
    const one = nothing()
    const other = nothing()
    expect(pool.keep(one, scratch, HOLD_BLOCK_SIZE + 1)).toBe(HOLD_BLOCK_SIZE + 1)
    expect(pool.keep(other, scratch, 1)).toBe(0)
    expect(pool.keep(one, scratch, HOLD_BLOCK_SIZE)).toBe(HOLD_BLOCK_SIZE - 1)
    pool.clear(one)
    expect(pool.keep(other, scratch, 1)).toBe(1)
  })
})
