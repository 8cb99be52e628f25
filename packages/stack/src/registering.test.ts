/** Registering a plug-in is all or nothing. */
import {
  type Claim,
  type Components,
  Demiflow,
  type FlowIndex,
  HANDLED,
  initiatingSide,
  NO_SIDE,
  type Observer,
  type ProtocolHandler,
  reserving,
} from "@demiflow/core"
import { FixedFlowTable } from "@demiflow/flow"
import { describe, expect, test } from "vitest"
import { flow, packets, recorder, setUp } from "./stack.fixture.ts"
import { Stack } from "./stack.ts"
import { CountingRandom } from "./test-support.ts"

describe("a plug-in that can't be registered", () => {
  /**
   * Registers a plug-in that reserves memory and asks to be woken, and that fails. Returns the function that wakes it.
   */
  function refused(stack: Stack, claims: Claim[], message: string, failure?: Error): Components["wakeAt"] {
    let wakeAt: Components["wakeAt"] = () => {}
    const plugin = (components: Components): ProtocolHandler => {
      components.arena.reserve(64)
      wakeAt = components.wakeAt
      wakeAt(10)
      if (failure !== undefined) throw failure
      return { name: "refused", claims, fromGuest: () => HANDLED, start: () => expect.fail("it was started") }
    }
    expect(() => stack.register(plugin)).toThrow(message)
    return wakeAt
  }

  const conflict: Claim[] = [
    { ipProtocol: 17, hasPorts: true },
    { ipProtocol: 132, forwardingPort: 7 },
    { ipProtocol: 33 },
    { ipProtocol: 1, messageTypes: [8] },
    { etherType: 0x88cc },
    { otherIpProtocols: true },
    { ipProtocol: 6 },
  ]

  test.each([
    ["by a conflict of claims", conflict, "both claim IP protocol 6: exactly one", undefined],
    ["by its own error", [], "not today", new Error("not today")],
  ] as [string, Claim[], string, Error | undefined][])("%s leaves nothing behind", (_, claims, message, failure) => {
    const { stack, drops, events, parts } = setUp()
    stack.register(recorder(events, "six", [{ ipProtocol: 6 }]))
    const wake = refused(stack, claims, message, failure)
    expect(stack.handlers.map(({ name }) => name)).toEqual(["six"])
    expect([parts.arena.remaining, stack.nextDeadline()]).toEqual([64, Number.POSITIVE_INFINITY])
    expect([17, 132, 33].map((protocol) => stack.hasPorts(protocol))).toEqual([false, false, false])
    const lldp = packets(-1)
    lldp.etherType = 0x88cc
    const unclaimed = [packets(17), packets(132, 7), packets(33), packets(1), packets(253), lldp]
    for (const sequence of unclaimed) stack.fromGuest(sequence)
    expect(drops.entries()).toEqual([["stack: no handler", unclaimed.length]])
    stack.start()
    stack.expire(10)
    // The next one has its number, and its claims.
    stack.register(recorder(events, "next", conflict.slice(0, -1)))
    wake(20)
    expect(stack.nextDeadline()).toBe(Number.POSITIVE_INFINITY)
    stack.fromHost(initiatingSide(flow(1)), 1)
    for (const sequence of unclaimed) stack.fromGuest(sequence)
    stack.fromGuest(packets(6))
    expect(events).toEqual(["six start", "next side 2 event 1", ...Array(6).fill("next got 1"), "six got 1"])
  })
})

function fail(): never {
  throw new Error("a mistake")
}

describe("flows that a plug-in begins while it is being set up", () => {
  /** Begins two flows, as a plug-in that is being set up. One of them doesn't become active. Returns the other. */
  function begin({ flows, handlerNumber, reports }: Components): FlowIndex {
    flows.allocate(handlerNumber, 6)
    const initiated = flows.initiate(flows.allocate(handlerNumber, 6), new Demiflow())
    const active = flows.activate(flows.target(initiated, new Demiflow()))
    flows.schedule(active, 10)
    reports.changed(active, "begun")
    return active
  }

  function stackWithTable() {
    const { parts, drops, events } = setUp()
    const flows = new FixedFlowTable({ capacity: 8, random: new CountingRandom(), drops })
    const observer: Observer = {
      opened: ({ handler }) => events.push(`opened ${handler}`),
      changed: (_, state) => events.push(state),
      closed: ({ handler }) => events.push(`closed ${handler}`),
    }
    const stack = new Stack({ ...parts, flows, observers: [observer] })
    stack.register(recorder(events, "six", [{ ipProtocol: 6 }]))
    return { stack, flows, events }
  }

  const refused = { name: "refused", claims: [{ ipProtocol: 6 }], fromGuest: () => HANDLED }

  test.each<[string, string, () => ProtocolHandler]>([
    ["a conflict of its claims", "both claim", () => refused],
    ["a conflict of its claims, and throws about its flows", "both claim", () => ({ ...refused, abort: fail })],
    ["its own error", "a mistake", fail],
  ])("end if it is refused by %s", (_, message, finish) => {
    const { stack, flows, events } = stackWithTable()
    const plugin = (components: Components): ProtocolHandler => {
      begin(components)
      return finish()
    }
    expect(() => stack.register(plugin)).toThrow(message)
    // Observers would hear the name of the next one, which has its number.
    stack.register(recorder(events, "next", [{ ipProtocol: 17 }]))
    stack.endTurn()
    const [size, due, side] = [flows.size, flows.nextDeadline(), flows.lookup(6, new Demiflow())]
    expect([size, due, side]).toEqual([0, Number.POSITIVE_INFINITY, NO_SIDE])
    expect(events).toEqual(["six end turn", "next end turn", "flush"])
  })

  test("are aborted first by the handler of the refused plug-in, which closes what they have", () => {
    const { stack, flows } = stackWithTable()
    const aborted: FlowIndex[] = []
    const begun: FlowIndex[] = []
    const plugin = (components: Components): ProtocolHandler => {
      begun.push(begin(components))
      return { ...refused, abort: (ended) => aborted.push(ended) }
    }
    expect(() => stack.register(plugin)).toThrow("both claim")
    expect(aborted).toEqual(begun)
    expect(flows.handlerOf(begun[0])).toBe(-1)
  })

  test("stay if it is registered, and are its own", () => {
    const { stack, flows, events } = stackWithTable()
    const own: FlowIndex[] = []
    stack.register((components) => {
      own.push(begin(components))
      return { name: "eager", claims: [], fromGuest: () => HANDLED, fromHost: (side) => events.push(`side ${side}`) }
    })
    stack.fromHost(initiatingSide(own[0]), 1)
    expect(events).toEqual([`side ${initiatingSide(own[0])}`])
    expect(flows.handlerOf(own[0])).toBe(1)
  })
})

test("a plug-in that reserves more than there is, is named with what it declares", () => {
  const { stack, events } = setUp()
  stack.register(recorder(events, "six", [{ ipProtocol: 6 }]))
  const greedy = reserving(32, ({ arena }) => {
    arena.reserve(128)
    return { name: "greedy", claims: [], fromGuest: () => HANDLED }
  })
  const message =
    "The arena has 64 bytes left, and plug-in 2 of the stack needs 128: it declares 32 in all; " +
    'declare its true "arenaBytes" with reserving(), or create a larger arena'
  const error = { code: "ERR_ARENA_EXHAUSTED", message, size: 128, remaining: 64 }
  expect(() => stack.register(greedy)).toThrow(expect.objectContaining(error))
})
