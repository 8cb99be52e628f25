import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Deadlines } from "./deadlines.ts"

describe("Deadlines", () => {
  it("agrees with sorting, whatever is set and cleared (property)", () => {
    const step = fc.tuple(fc.integer({ min: 0, max: 15 }), fc.option(fc.integer({ min: 0, max: 50 })))
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const deadlines = new Deadlines(16)
        const model = new Map<number, number>()
        for (const [flow, at] of steps) {
          if (at === null) {
            deadlines.clear(flow)
            model.delete(flow)
          } else {
            deadlines.set(flow, at)
            model.set(flow, at)
          }
          expect(deadlines.earliest()).toBe(Math.min(Number.POSITIVE_INFINITY, ...model.values()))
          expect(deadlines.size).toBe(model.size)
        }
        const taken: number[] = []
        for (let flow = deadlines.takeDue(25); flow >= 0; flow = deadlines.takeDue(25)) taken.push(flow)
        const due = [...model.entries()].filter(([, at]) => at <= 25)
        expect(taken.map((flow) => model.get(flow))).toEqual(due.map(([, at]) => at).sort((a, b) => a - b))
        expect(new Set(taken)).toEqual(new Set(due.map(([flow]) => flow)))
      }),
    )
  })
})
