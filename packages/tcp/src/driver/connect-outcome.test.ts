import { SocketEvent, targetSide } from "@demiflow/core"
import { check } from "@demiflow/testkit"
import { expect, test } from "vitest"
import { bench, scripted } from "../test-support/bench.ts"

test("an event for no reason, before the host is connected, answers nothing", () => {
  const memory = bench({ sockets: { rtt: 30 } })
  const guest = scripted(memory)
  guest.send("S", "")
  memory.run(5)
  memory.flows.forEach((flow) => {
    for (const events of [SocketEvent.writable, SocketEvent.error, SocketEvent.hangUp, SocketEvent.writable])
      memory.stack.fromHost(targetSide(flow), events)
  })
  memory.run(5)
  memory.guest.expectNothing()
  expect(memory.flows.size).toBe(1)
  memory.run(30)
  guest.expect(check.tcp({ flags: "SA", acknowledgement: guest.sequence }))
})
