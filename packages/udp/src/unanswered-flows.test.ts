import type { SideRef } from "@demiflow/core"
import fc from "fast-check"
import { expect, test } from "vitest"
import { UdpFlow } from "./state.ts"
import { UnansweredFlows } from "./unanswered-flows.ts"

test("flows stand in the order of their beginning, whichever of them leave, and may come again", () => {
  const steps = fc.array(fc.record({ isAdded: fc.boolean(), flow: fc.nat(7) }), { maxLength: 60 })
  fc.assert(
    fc.property(steps, (list) => {
      const flows = Array.from({ length: 8 }, (_, index) => new UdpFlow((index * 2) as SideRef))
      const unanswered = new UnansweredFlows()
      let model: UdpFlow[] = []
      for (const { isAdded, flow: index } of list) {
        const flow = flows[index]
        if (!isAdded) {
          unanswered.remove(flow)
          model = model.filter((other) => other !== flow)
        } else if (!model.includes(flow)) {
          unanswered.add(flow)
          model.push(flow)
        }
        expect(unanswered.count).toBe(model.length)
        expect(unanswered.oldest).toBe(model[0])
      }
      for (const flow of model) {
        expect(unanswered.oldest).toBe(flow)
        unanswered.remove(flow)
      }
      expect(unanswered.oldest).toBeUndefined()
    }),
  )
})
