import { expect, it } from "vitest"
import type { MemoryStackOptions } from "../memory-stack.ts"
import type { ParsedPacket } from "../packets/parse.ts"
import { ScriptedPolicy, type ScriptedVerdict } from "../scripted-policy.ts"
import { ProtocolBench, type ProtocolUnderTest } from "./protocol-bench.ts"

/** Milliseconds between two samples: the rate of errors is limited. */
const PAUSE = 200

/** ICMP types and codes, RFC 792 and RFC 4443: "destination unreachable, administratively prohibited". */
const PROHIBITED_V4 = [3, 13]
const PROHIBITED_V6 = [1, 1]

/**
 * Tests that a protocol asks the policy before it begins a flow, and does as the policy says. A protocol without flows
 * passes.
 */
export function verdictTests(setup: () => ProtocolUnderTest): void {
  /** What became of a sample. */
  interface Outcome {
    readonly asked: number
    readonly frames: readonly ParsedPacket[]
    readonly flows: number
  }

  function benchWith(verdict: ScriptedVerdict, options: MemoryStackOptions = {}) {
    const policy = new ScriptedPolicy(verdict)
    const bench = new ProtocolBench(setup(), { policy: policy.around, ...options }, "stack")
    /** Sends each sample by itself, to the stack: frames to everybody get no error. */
    const outcomes = (then: () => void = () => {}): Outcome[] =>
      bench.samples[0].map((layers) => {
        const before = policy.asked
        bench.send(layers)
        then()
        bench.stack.run(1)
        const frames = bench.stack.guest.takeAll()
        const outcome = { asked: policy.asked - before, frames, flows: bench.stack.flows.size }
        bench.stack.run(PAUSE)
        bench.stack.guest.takeAll()
        return outcome
      })
    return { policy, bench, outcomes }
  }

  /** The outcomes of samples about which the policy was asked. */
  function askingSamples(outcomes: readonly Outcome[]): Outcome[] {
    return outcomes.filter(({ asked }) => asked > 0)
  }

  it("is asked for before a flow begins, and its rule is kept with the flow", () => {
    const { policy, bench, outcomes } = benchWith("forward")
    const { flows } = bench.stack
    const rules: number[] = []
    outcomes(() =>
      flows.forEach((flow) => {
        rules.push(flows.ruleOf(flow))
      }),
    )
    if (rules.length > 0) expect(policy.asked).toBeGreaterThan(0)
    expect(new Set(rules)).toEqual(new Set(rules.length > 0 ? [ScriptedPolicy.rule] : []))
  })

  it.each(["refuse", "reset"] as const)("%s: the guest hears of it at once, and nothing begins", (verdict) => {
    const { bench, outcomes } = benchWith(verdict)
    const asking = askingSamples(outcomes())
    for (const { flows, frames } of asking) {
      expect(flows).toBe(0)
      expect(frames.filter(isRefusal)).toHaveLength(1)
      expect(frames).toHaveLength(1)
      if (verdict === "refuse") expect(frames.every(({ tcp }) => tcp === undefined)).toBe(true)
      else expect(frames[0].tcp === undefined || frames[0].tcp.flags.includes("R")).toBe(true)
    }
    expectCounted(bench, asking)
  })

  it("drop: the guest hears nothing, and nothing begins", () => {
    const { bench, outcomes } = benchWith("drop")
    const asking = askingSamples(outcomes())
    for (const { flows, frames } of asking) expect([flows, frames]).toEqual([0, []])
    expectCounted(bench, asking)
  })

  it("later: nothing begins before the answer, and then all goes on as if it had come at once", () => {
    const atOnce = benchWith("forward")
    const expected = atOnce.outcomes()
    const { policy, bench, outcomes } = benchWith("later")
    const waiting = outcomes(() => {
      const { guest, flows } = bench.stack
      const open = policy.questions.filter(({ isOpen }) => isOpen)
      for (const { protocol, initiating } of open) expect(flows.lookup(protocol, initiating)).toBeLessThan(0)
      if (open.length > 0) expect(guest.inbox.length).toBe(0)
      policy.answer("forward")
    })
    expect(waiting.map(({ asked }) => asked)).toEqual(expected.map(({ asked }) => asked))
    expect(waiting.map(({ frames }) => frames.length)).toEqual(expected.map(({ frames }) => frames.length))
  })

  it("later: a packet that is repeated asks nothing twice", () => {
    const { policy, bench } = benchWith("later")
    for (const layers of bench.samples[0]) {
      bench.send(layers)
      const { asked } = policy
      bench.send(layers)
      expect(policy.asked).toBe(asked)
    }
    expect(bench.stack.flows.size).toBe(0)
  })

  it.each(["refuse", "drop"] as const)(
    "later, then %s: the guest hears of that as if it had come at once",
    (verdict) => {
      const expected = benchWith(verdict).outcomes()
      const { policy, bench, outcomes } = benchWith("later")
      const waiting = outcomes(() => policy.answer(verdict))
      expect(waiting.map(({ frames }) => frames.length)).toEqual(expected.map(({ frames }) => frames.length))
      expectCounted(bench, askingSamples(waiting))
    },
  )

  it("later, and no answer in time: the flow is dropped and counted, and nothing is left", () => {
    const { policy, bench, outcomes } = benchWith("later")
    outcomes()
    bench.stack.run(60_000)
    expect(policy.questions.filter(({ isOpen }) => isOpen)).toEqual([])
    const { drops, flows, leftovers } = bench.stack
    if (policy.asked > 0) expect(drops.get("forward: no verdict in time")).toBeGreaterThanOrEqual(policy.asked)
    expect(flows.size).toBe(0)
    if (policy.asked > 0) expect(leftovers()).toEqual([])
  })

  it("that isn't one, because the policy throws, costs the flow and nothing else", () => {
    const { policy, bench, outcomes } = benchWith("throw", { failures: "log" })
    const asking = askingSamples(outcomes())
    for (const { flows, frames } of asking) expect([flows, frames]).toEqual([0, []])
    if (policy.asked > 0) expect(bench.stack.drops.get("stack: policy failed")).toBeGreaterThanOrEqual(policy.asked)
    expect(bench.stack.drops.get(`stack: handler failed (${bench.handler.name})`)).toBe(0)
  })
}

function expectCounted({ stack }: ProtocolBench, asking: readonly unknown[]): void {
  expect(stack.drops.get(ScriptedPolicy.reason)).toBeGreaterThanOrEqual(asking.length)
  expect(stack.sockets.openSockets - stack.sockets.listeningSockets).toBe(0)
}

function isRefusal({ tcp, icmp, ip }: ParsedPacket): boolean {
  if (tcp !== undefined) return tcp.flags.includes("R")
  return (
    icmp !== undefined && [icmp.type, icmp.code].join() === (ip?.version === 4 ? PROHIBITED_V4 : PROHIBITED_V6).join()
  )
}
