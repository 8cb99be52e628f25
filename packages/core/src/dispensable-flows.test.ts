import fc from "fast-check"
import { expect, test } from "vitest"
import { DispensableFlows, type MayGiveWay } from "./dispensable-flows.ts"
import type { FlowIndex } from "./flow-table.ts"

const newFlow = (index: number): MayGiveWay => ({
  flow: index as FlowIndex,
  holdsSocket: index % 2 === 1,
  lastActivity: 0,
  list: undefined,
  listedAt: 0,
  older: undefined,
  newer: undefined,
})

test("flows stand in the order in which they were added, whichever of them leave, and may come again", () => {
  const steps = fc.array(fc.record({ isAdded: fc.boolean(), flow: fc.nat(7) }), { maxLength: 60 })
  fc.assert(
    fc.property(steps, (list) => {
      const flows = Array.from({ length: 8 }, (_, index) => newFlow(index))
      const dispensable = new DispensableFlows()
      let model: MayGiveWay[] = []
      for (const { isAdded, flow: index } of list) {
        const flow = flows[index]
        if (!isAdded) {
          dispensable.remove(flow)
          model = model.filter((other) => other !== flow)
        } else if (!model.includes(flow)) {
          dispensable.add(flow)
          model.push(flow)
        }
        expect(dispensable.count).toBe(model.length)
        expect(dispensable.oldest).toBe(model[0])
        expect(dispensable.oldestWithSocket).toBe(model.find(({ holdsSocket }) => holdsSocket))
      }
      for (const flow of model) {
        expect(dispensable.oldest).toBe(flow)
        dispensable.remove(flow)
      }
      expect(dispensable.oldest).toBeUndefined()
    }),
  )
})
