import { FlowEnd, type FlowEndId, HANDLED, type Observer, type ProtocolPlugin, Ruling, Verdict } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { type MemoryStack, type MemoryStackOptions, memoryStack } from "./memory-stack.ts"
import * as build from "./packets/build.ts"
import { payload } from "./packets/layer.ts"
import { RecordingLog } from "./recording-log.ts"
import { ScriptedPolicy } from "./scripted-policy.ts"

const PROTOCOL = 253
const IDLE = 50

/** A protocol whose flows do nothing: the payload "state" changes their state, "end" ends them. */
const idle: ProtocolPlugin = ({ arena, clock, drops, flows, handlerNumber, reports, verdicts }) => {
  const ruling = new Ruling()
  const odd = drops.reason("idle: odd")
  return {
    name: "idle",
    claims: [{ ipProtocol: PROTOCOL }],
    fromGuest(sequence) {
      const { demiflow, endOffset, transportOffset } = sequence
      const text = String.fromCharCode(...arena.bytes.subarray(transportOffset[0], endOffset[0]))
      const side = flows.lookup(PROTOCOL, demiflow)
      if (text === "odd") return odd
      if (side >= 0) {
        const flow = (side >> 1) as Parameters<typeof flows.release>[0]
        if (text === "end") flows.release(flow)
        else if (text === "fail") throw new Error("a handler's mistake")
        else reports.changed(flow, text)
        return HANDLED
      }
      const verdict = verdicts.fromGuest(PROTOCOL, demiflow, ruling, sequence, 0)
      if (verdict === Verdict.later) return HANDLED
      if (verdict !== Verdict.forward) return ruling.reason
      const created = flows.allocate(handlerNumber, PROTOCOL)
      const targeted = flows.target(flows.initiate(created, demiflow), ruling.target, ruling.rule)
      flows.schedule(flows.activate(targeted), clock.now + IDLE)
      return HANDLED
    },
    expire: (flow) => flows.release(flow),
    abort: (flow) => flows.release(flow),
  }
}

function ending(end: FlowEndId): string {
  return Object.keys(FlowEnd)[end]
}

/** An observer that writes down what it hears. */
function writing(lines: string[], name = ""): Observer {
  return {
    opened: ({ initiating, target, handler, rule, protocol }) =>
      lines.push(`${name}opened ${handler} ${protocol} rule ${rule}: ${initiating} ⇄ ${target}`),
    changed: (_flow, state) => lines.push(`${name}changed: ${state}`),
    closed: ({ handler }, end) => lines.push(`${name}closed ${handler}: ${ending(end)}`),
    refused: ({ initiating, reason, rule, verdict }) =>
      lines.push(`${name}refused ${verdict} rule ${rule}: ${initiating}, ${reason}`),
    dropped: (reason, packets) => lines.push(`${name}dropped ${packets}: ${reason}`),
  }
}

function observed(options: MemoryStackOptions = {}) {
  const lines: string[] = []
  const memory = memoryStack([idle], { ...options, failures: "log" })
  const stop = memory.stack.observe(writing(lines))
  const take = () => lines.splice(0)
  return { memory, stop, take, lines }
}

function say({ guest, run }: MemoryStack, ...texts: string[]): void {
  for (const text of texts) guest.send(build.ip("192.0.2.2", "198.51.100.7", 64, PROTOCOL), payload(text))
  run()
}

const SIDES = "tap 198.51.100.7:0 → 192.0.2.2:0"
const OPENED = `opened idle ${PROTOCOL} rule 0: ${SIDES} ⇄ host 0.0.0.0:0 → 198.51.100.7:0`

describe("observers", () => {
  test("hear of a flow that begins, changes and ends, in this order", () => {
    const { memory, take } = observed()
    say(memory, "hello", "busy", "end")
    expect(take()).toEqual([OPENED, "changed: busy", "closed idle: done"])
    say(memory, "again")
    expect(take()).toEqual([OPENED])
    memory.run(IDLE)
    expect(take()).toEqual(["closed idle: timedOut"])
  })

  test("hear why a flow ended that its handler didn't end itself", () => {
    const { memory, take } = observed()
    say(memory, "hello", "fail")
    expect(take()).toEqual([OPENED, "closed idle: failed", "dropped 1: stack: handler failed (idle)"])
    say(memory, "hello")
    memory.stack.stop()
    expect(take()).toEqual([OPENED, "closed idle: stopped"])
  })

  test("hear of flows that the policy doesn't let in, with verdict, rule and reason", () => {
    const policy = new ScriptedPolicy("refuse")
    const { memory, take } = observed({ policy: policy.around })
    const { reason, rule } = ScriptedPolicy
    say(memory, "hello")
    expect(take()).toEqual([`refused ${Verdict.refuse} rule ${rule}: ${SIDES}, ${reason}`, `dropped 1: ${reason}`])
    policy.verdict = "later"
    say(memory, "hello")
    expect(take()).toEqual([])
    memory.run(10_000)
    const late = "forward: no verdict in time"
    expect(take()).toEqual([`refused ${Verdict.drop} rule 0: ${SIDES}, ${late}`, `dropped 1: ${late}`])
    policy.verdict = "forward"
    say(memory, "hello")
    expect(take()).toEqual([OPENED.replace("rule 0", `rule ${rule}`)])
  })

  test("hear of the end of a flow whose handler throws about its totals", () => {
    const totals: unknown[] = []
    const failing: ProtocolPlugin = (components) => ({
      ...idle(components),
      totalsOf: () => {
        throw new Error("miscounted")
      },
    })
    const observer: Observer = { closed: (_flow, _end, carried) => totals.push(carried) }
    const memory = memoryStack([failing], { observers: [observer], failures: "log" })
    say(memory, "hello", "end")
    expect(totals).toEqual([{}])
    expect(memory.drops.get("stack: handler failed (idle)")).toBe(1)
  })

  test("hear of drops once a turn, with their number", () => {
    const { memory, take } = observed()
    say(memory, "odd", "odd", "odd")
    expect(take()).toEqual(["dropped 3: idle: odd"])
    memory.run(10)
    expect(take()).toEqual([])
  })

  test("may be several, and come and go, also while they are called", () => {
    const { memory, stop, take, lines } = observed()
    const stopOther = memory.stack.observe({
      ...writing(lines, "other "),
      changed: () => {
        memory.stack.observe(writing(lines, "new "))
        stopOther()
        stop()
      },
    })
    say(memory, "hello")
    expect(take()).toEqual([OPENED, `other ${OPENED}`])
    say(memory, "busy", "end")
    expect(take()).toEqual(["changed: busy", "new closed idle: done"])
  })

  test.each(["opened", "dropped"] as const)("may end flows when called: %s", (event) => {
    const { memory, take } = observed()
    memory.stack.observe({ [event]: () => memory.stack.abortFlows() })
    say(memory, "hello", "odd")
    expect(take().filter((line) => !line.startsWith("dropped"))).toEqual([OPENED, "closed idle: stopped"])
    expect(memory.leftovers()).toEqual([])
  })

  test("that throw are counted and logged once a second, and disturb nobody", () => {
    const log = new RecordingLog("info")
    const { memory, take } = observed({ log })
    const opened = () => {
      throw new Error("an observer's mistake")
    }
    memory.stack.observe({ opened })
    say(memory, "hello", "end", "hello", "end")
    expect(take().filter((line) => !line.startsWith("dropped"))).toEqual([
      OPENED,
      "closed idle: done",
      OPENED,
      "closed idle: done",
    ])
    expect(memory.drops.get("stack: observer failed")).toBe(2)
    expect(log.messages("error")).toEqual([
      expect.stringMatching(/^An observer failed: Error: an observer's mistake\n/),
    ])
  })

  test("that throw to an owner who throws as well disturb that turn alone", () => {
    const lines: string[] = []
    const opened = () => {
      throw new Error("an observer's mistake")
    }
    const memory = memoryStack([idle], { observers: [{ opened }, writing(lines)] })
    expect(() => say(memory, "hello")).toThrow("an observer's mistake")
    say(memory, "end")
    expect(lines.filter((line) => !line.startsWith("dropped"))).toEqual(["closed idle: done"])
    expect([memory.flows.size, memory.leftovers()]).toEqual([0, []])
  })

  test("hear nothing of what was before them, and leave nothing behind", () => {
    const { memory, stop, take } = observed()
    stop()
    say(memory, "hello", "odd")
    expect([take(), memory.flows.listener]).toEqual([[], undefined])
    memory.stack.observe(writing([]))
    expect(memory.flows.listener).toBeDefined()
  })

  test("may be given to a stack from the start", () => {
    const lines: string[] = []
    const memory = memoryStack([idle], { observers: [writing(lines)] })
    say(memory, "hello")
    expect(lines).toEqual([OPENED])
  })
})
