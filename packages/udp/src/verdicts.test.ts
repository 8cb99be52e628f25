/** The policy's verdict on flows towards the guest; the compliance suite is about those that the guest begins. */
import { type Demiflow, type Forwarding, IpProtocol, type Question, type Ruling } from "@demiflow/core"
import { build, check, memoryStack, ScriptedPolicy, type ScriptedVerdict } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { udp } from "./index.ts"

const client = { address: "198.51.100.7", port: 40_000 }

function asked(verdict: ScriptedVerdict) {
  const policy = new ScriptedPolicy(verdict)
  const memory = memoryStack([udp()], { policy: policy.around, failures: "log" })
  const end = { address: undefined, port: 5353, interfaceName: undefined, freebind: false }
  memory.stack.listen(IpProtocol.udp, end, undefined, 53)
  const ask = () => {
    memory.sockets.world.send(client, { address: "192.0.2.1", port: 5353 }, "example.org?")
    memory.run()
  }
  ask()
  return { policy, memory, ask }
}

describe("a flow towards the guest", () => {
  test.each([
    ["refuse", ScriptedPolicy.reason],
    ["drop", ScriptedPolicy.reason],
    ["throw", "stack: policy failed"],
  ] as const)("doesn't begin if the verdict is %s: the datagram is counted", (verdict, reason) => {
    const { memory } = asked(verdict)
    memory.guest.expectNothing()
    expect([memory.flows.size, memory.drops.get(reason), memory.drops.total]).toEqual([0, 1, 1])
  })

  test("loses its datagrams until the policy has decided, and begins with the next one", () => {
    const { memory, policy, ask } = asked("later")
    ask()
    expect([policy.asked, memory.drops.get("forward: not kept while its verdict was open")]).toEqual([1, 2])
    policy.answer("forward")
    memory.run()
    memory.guest.expectNothing()
    ask()
    memory.guest.expect(check.payload("example.org?"))
    expect([policy.asked, memory.flows.size]).toEqual([1, 1])
  })

  test("has its rule from the policy, and so has a flow with which another address of the guest answers", () => {
    const { memory, policy } = asked("forward")
    memory.guest.expect(check.payload("example.org?"))
    policy.verdict = "refuse"
    const datagram = [build.udp({ sourcePort: 53, targetPort: 40_000 }), build.payload("answer")] as const
    memory.guest.send(build.ip("192.0.2.77", client.address), ...datagram)
    memory.run()
    const rules: number[] = []
    memory.flows.forEach((flow) => {
      rules.push(memory.flows.ruleOf(flow))
    })
    expect(rules).toEqual([ScriptedPolicy.rule, ScriptedPolicy.rule])
  })
})

test("datagrams of a flow that waits are kept, up to four, and then leave in order", () => {
  const policy = new ScriptedPolicy("later")
  const memory = memoryStack([udp()], { policy: policy.around })
  const received: string[] = []
  memory.sockets.world.receive({ address: "198.51.100.9", port: 443 }, ({ text }) => received.push(text))
  for (let number = 1; number <= 6; number++) {
    memory.guest.send(
      build.ip("192.0.2.2", "198.51.100.9"),
      build.udp({ sourcePort: 4_000, targetPort: 443 }),
      build.payload(`datagram ${number}`),
    )
  }
  memory.run()
  expect([received, memory.drops.get("forward: not kept while its verdict was open")]).toEqual([[], 2])
  policy.answer("forward")
  memory.run(1)
  expect(received).toEqual([1, 2, 3, 4].map((number) => `datagram ${number}`))
})

test("flows that wait are limited, and the others are dropped", () => {
  const policy = new ScriptedPolicy("later", { flows: 3 })
  const memory = memoryStack([udp()], { policy: policy.around })
  for (let port = 1; port <= 5; port++) {
    memory.guest.send(
      build.ip("192.0.2.2", "198.51.100.9"),
      build.udp({ sourcePort: 4_000 + port, targetPort: 443 }),
      build.payload("?"),
    )
  }
  memory.run()
  expect([policy.questions.length, memory.drops.get("forward: too many flows wait for a verdict")]).toEqual([3, 2])
  memory.guest.expectNothing()
  policy.answer("drop")
  memory.run()
  expect(memory.drops.get(ScriptedPolicy.reason)).toBe(3)
  expect(memory.leftovers()).toEqual([])
})

test.each(["drop", "refuse"] as const)("all datagrams that are kept share one answer: %s", (verdict) => {
  const policy = new ScriptedPolicy("later")
  const memory = memoryStack([udp()], { policy: policy.around })
  for (let number = 1; number <= 3; number++) {
    memory.guest.send(
      build.ip("192.0.2.2", "198.51.100.9"),
      build.udp({ sourcePort: 4_000, targetPort: 443 }),
      build.payload(`datagram ${number}`),
    )
  }
  memory.run()
  policy.answer(verdict)
  memory.run(60_000)
  expect([policy.asked, memory.drops.get(ScriptedPolicy.reason)]).toEqual([1, 3])
  expect(memory.leftovers()).toEqual([])
})

test("flows whose verdict is there count as long as they haven't begun", () => {
  const policy = new ScriptedPolicy("later", { flows: 3 })
  const memory = memoryStack([udp()], { policy: policy.around })
  const send = (port: number) =>
    memory.guest.send(
      build.ip("192.0.2.2", "198.51.100.9"),
      build.udp({ sourcePort: port, targetPort: 443 }),
      build.payload("?"),
    )
  for (let port = 1; port <= 3; port++) send(port)
  memory.run()
  policy.answer("drop")
  // These are handled before timers, and so before the first ones begin.
  for (let port = 4; port <= 6; port++) send(port)
  memory.run()
  expect([policy.questions.length, memory.drops.get("forward: too many flows wait for a verdict")]).toEqual([3, 3])
  send(7)
  memory.run()
  expect(policy.questions.length).toBe(4)
})

test("of the answers that nobody has asked for again, only as many are kept as flows may wait", () => {
  const policy = new ScriptedPolicy("later", { flows: 3 })
  const memory = memoryStack([udp()], { policy: policy.around })
  const end = { address: undefined, port: 5353, interfaceName: undefined, freebind: false }
  memory.stack.listen(IpProtocol.udp, end, undefined, 53)
  const ask = (port: number) => {
    memory.sockets.world.send({ ...client, port }, { address: "192.0.2.1", port: 5353 }, "example.org?")
    memory.run()
    policy.answer("forward")
  }
  for (let port = 1; port <= 4; port++) ask(port)
  ask(4)
  expect([policy.asked, memory.flows.size]).toEqual([4, 1])
  ask(1)
  expect([policy.asked, memory.flows.size]).toEqual([5, 1])
})

test("a flow never gets the target of the flow before", () => {
  let last: Question | undefined
  let isFirst = true
  const forgetful = (inner: Forwarding): Forwarding =>
    Object.assign(Object.create(inner) as Forwarding, {
      patience: {},
      target(protocol: number, initiating: Demiflow, ruling: Ruling) {
        if (isFirst) return inner.target(protocol, initiating, ruling)
        return ruling.later((question) => {
          last = question
        })
      },
      hasOutboundAddress: () => false,
    })
  const memory = memoryStack([udp()], { policy: forgetful, failures: "log" })
  const received: string[] = []
  const listen = (address: string) =>
    memory.sockets.world.receive({ address, port: 53 }, ({ text }) => received.push(`${address} ${text}`))
  listen("198.51.100.8")
  listen("198.51.100.9")
  const send = (target: string) => {
    const ports = build.udp({ sourcePort: 4_000, targetPort: 53 })
    memory.guest.send(build.ip("192.0.2.2", target), ports, build.payload("a question"))
    memory.run()
  }
  send("198.51.100.8")
  isFirst = false
  send("198.51.100.9")
  last?.answer(last.ruling.forward())
  memory.run(10)
  expect(received).toEqual(["198.51.100.8 a question"])
  expect([memory.flows.size, memory.drops.get("stack: policy failed")]).toEqual([1, 1])
})
