/** The policy's verdict on connections; the compliance suite has more about those that the guest begins. */
import { IpProtocol } from "@demiflow/core"
import { check, ScriptedConnection, ScriptedPolicy, type ScriptedVerdict } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { type Bench, bench, scripted } from "./test-support/bench.ts"

function decided(verdict: ScriptedVerdict): { readonly memory: Bench; readonly policy: ScriptedPolicy } {
  const policy = new ScriptedPolicy(verdict, { milliseconds: 5_000 })
  return { memory: bench({ policy: policy.around }), policy }
}

describe("a connection of the guest's, before the policy has decided,", () => {
  const options = { mss: 1_460 }

  test("has no answer to its SYNs, and works once the policy lets it in", () => {
    const { memory, policy } = decided("later")
    const guest = scripted(memory)
    guest.send("S", "", { options })
    memory.run(1_000)
    guest.sequence -= 1
    guest.send("S", "", { options })
    memory.run(1_000)
    memory.guest.expectNothing()
    expect([policy.asked, memory.flows.size, memory.sockets.openSockets]).toEqual([1, 0, 0])
    policy.answer("forward")
    guest.expect(check.tcp({ flags: "SA", acknowledgement: guest.sequence }), check.tcpOptions({ mss: 1_460 }))
    guest.send("A", "hello")
    memory.run(2)
    expect(memory.listener.connection.receivedText).toBe("hello")
    expect(policy.asked).toBe(1)
  })

  test("has no answer to what comes with its SYN, which is kept with it", () => {
    const { memory, policy } = decided("later")
    const guest = scripted(memory)
    guest.send("S", "", { options })
    guest.sequence -= 1
    guest.send("S", "", { options })
    guest.send("A", "early")
    memory.run()
    memory.guest.expectNothing()
    expect([policy.asked, memory.drops.total]).toEqual([1, 0])
    policy.answer("refuse")
    memory.run(1)
    expect(memory.drops.get(ScriptedPolicy.reason)).toBe(2)
  })

  test("is dropped after the policy's time, and the next SYN asks anew", () => {
    const { memory, policy } = decided("later")
    scripted(memory).send("S", "", { options })
    memory.run(5_000)
    memory.guest.expectNothing()
    expect(memory.drops.get("forward: no verdict in time")).toBe(1)
    policy.answer("forward")
    memory.run()
    memory.guest.expectNothing()
    scripted(memory).send("S", "", { options })
    memory.run()
    expect(policy.asked).toBe(2)
  })

  test("ends with the guest", () => {
    const { memory, policy } = decided("later")
    scripted(memory).send("S", "", { options })
    memory.run()
    memory.stack.stop()
    expect(policy.questions.map(({ isOpen }) => isOpen)).toEqual([false])
    expect(memory.drops.entries()).toEqual([["forward: ended before its verdict", 1]])
    memory.run(60_000)
    memory.guest.expectNothing()
    expect(memory.leftovers()).toEqual([])
  })
})

test("a SYN that the policy refuses by a reset gets one that acknowledges it, and no error", () => {
  const { memory } = decided("reset")
  const guest = scripted(memory)
  guest.send("S", "")
  guest.expect(check.tcp({ flags: "RA", sequence: 0, acknowledgement: guest.sequence }))
  memory.guest.expectNothing()
  expect(memory.leftovers()).toEqual([])
})

describe("a connection towards the guest", () => {
  function dial(memory: Bench) {
    const end = { address: undefined, port: 2222, interfaceName: undefined, freebind: false }
    const listener = memory.stack.listen(IpProtocol.tcp, end, undefined, 22)
    const client = { address: "203.0.113.9", port: 5_000 }
    const world = memory.sockets.world.connect(client, { address: "192.0.2.1", port: 2222 })
    memory.run()
    return { listener, world }
  }

  function dialled(verdict: ScriptedVerdict) {
    const { memory, policy } = decided(verdict)
    return { memory, policy, ...dial(memory) }
  }

  test.each(["refuse", "reset", "drop", "throw"] as const)("is reset if the verdict is %s", (verdict) => {
    const policy = new ScriptedPolicy(verdict)
    const memory = bench({ policy: policy.around, failures: "log" })
    const { listener, world } = dial(memory)
    memory.guest.expectNothing()
    expect(world.isReset).toBe(true)
    expect(memory.drops.get(verdict === "throw" ? "stack: policy failed" : ScriptedPolicy.reason)).toBe(1)
    memory.stack.unlisten(listener)
    expect(memory.leftovers()).toEqual([])
  })

  test("waits for a verdict with its data, and keeps the rule that let it in", () => {
    const { memory, policy, world } = dialled("later")
    world.write("early")
    memory.run(1_000)
    memory.guest.expectNothing()
    expect([world.isReset, memory.flows.size]).toEqual([false, 0])
    policy.answer("forward")
    const guest = ScriptedConnection.fromSyn(memory.guest, check.tcp({ targetPort: 22 }))
    guest.send("SA", "", { options: { mss: 1_000 } })
    guest.expect(check.payload("early"))
    const rules: number[] = []
    memory.flows.forEach((flow) => {
      rules.push(memory.flows.ruleOf(flow))
    })
    expect([rules, policy.asked]).toEqual([[ScriptedPolicy.rule], 1])
  })

  test.each(["refuse", "never"] as const)("is reset if the answer is %s", (answer) => {
    const { memory, policy, listener, world } = dialled("later")
    if (answer === "refuse") policy.answer(answer)
    memory.run(answer === "refuse" ? 0 : 5_000)
    memory.guest.expectNothing()
    expect(world.isReset).toBe(true)
    memory.stack.unlisten(listener)
    memory.run(60_000)
    expect(memory.leftovers()).toEqual([])
  })

  test("that its client began again from the same port takes the place of the first one, which leaves nothing", () => {
    const { memory, policy, listener, world } = dialled("later")
    world.reset()
    const client = { address: "203.0.113.9", port: 5_000 }
    const again = memory.sockets.world.connect(client, { address: "192.0.2.1", port: 2222 })
    memory.run()
    expect([policy.asked, memory.sockets.openSockets - memory.sockets.listeningSockets]).toEqual([1, 1])
    policy.answer("forward")
    ScriptedConnection.fromSyn(memory.guest, check.tcp({ targetPort: 22 })).send("RA", "")
    memory.run(60_000)
    expect(again.isReset).toBe(true)
    memory.stack.unlisten(listener)
    expect(memory.leftovers()).toEqual([])
  })

  test("that waits is reset when the guest goes", () => {
    const { memory, listener, world } = dialled("later")
    memory.stack.stop()
    memory.run()
    expect(world.isReset).toBe(true)
    memory.stack.unlisten(listener)
    expect(memory.leftovers()).toEqual([])
  })
})
