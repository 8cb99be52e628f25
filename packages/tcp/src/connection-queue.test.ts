import fc from "fast-check"
import { expect, test } from "vitest"
import { TcpConnection } from "./connection.ts"
import { ConnectionQueue } from "./connection-queue.ts"

test("connections come out in the order in which they went in", () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 200 }), (pushes) => {
      const queue = new ConnectionQueue()
      const model: TcpConnection[] = []
      for (const isPush of pushes) {
        if (isPush) {
          const connection = new TcpConnection()
          model.push(connection)
          queue.push(connection)
        } else expect(queue.shift()).toBe(model.shift())
        expect(queue.count).toBe(model.length)
      }
    }),
  )
})
