import fc from "fast-check"
import { expect, test } from "vitest"
import { Queue } from "./queue.ts"

test("items come out in the order in which they went in", () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 200 }), (pushes) => {
      const queue = new Queue<object>()
      const model: object[] = []
      for (const isPush of pushes) {
        if (isPush) {
          const item = {}
          model.push(item)
          queue.push(item)
        } else expect(queue.shift()).toBe(model.shift())
        expect(queue.count).toBe(model.length)
      }
    }),
  )
})
