import { Arena, Demiflow, type Forwarding, type Guest, Interface, MacAddress, Verdict } from "@demiflow/core"
import { expect, test } from "vitest"
import { PacketRefusal } from "./packet-refusal.ts"

test("a flood of packets asks the policy no more often than errors may be sent", () => {
  let asked = 0
  const target = () => {
    asked++
    return Verdict.drop
  }
  const clock = { now: 0 }
  const arena = new Arena(4_096)
  const refusal = new PacketRefusal({
    arena,
    guest: {} as Guest,
    forwarding: { target } as unknown as Forwarding,
    clock,
  })
  const flood = (targetMac: string) => {
    for (let count = 0; count < 200; count++) {
      refusal.refuse(new Demiflow(Interface.tap), MacAddress.parse(targetMac), 59, 4, 0, 40, 0, 48)
    }
    return asked
  }
  expect(flood("33:33:00:00:00:01")).toBe(0)
  expect(flood("9a:55:9a:55:9a:55")).toBe(50)
  clock.now = 10
  expect(flood("9a:55:9a:55:9a:55")).toBe(60)
})
