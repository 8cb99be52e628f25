import {
  type Components,
  HANDLED,
  initiatingSide,
  type ListenerRef,
  type ProtocolHandler,
  targetSide,
} from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { flow, recorder, setUp } from "./stack.fixture.ts"

describe("events and time", () => {
  test("reach the handler of the flow, and nobody for an ended flow", () => {
    const { stack, events } = setUp()
    stack.register(recorder(events, "a", []))
    stack.register(recorder(events, "b", []))
    stack.fromHost(targetSide(flow(1)), 5)
    stack.fromHost(initiatingSide(flow(0)), 1)
    stack.fromHost(initiatingSide(flow(2)), 1)
    expect(events).toEqual(["b side 3 event 5", "a side 0 event 1"])
  })

  test("handlers get the flows that are due, with the time", () => {
    const { stack, events, makeDue } = setUp()
    stack.register(recorder(events, "a", []))
    stack.register(recorder(events, "b", []))
    makeDue(1, 0)
    stack.expire(1234)
    expect(events).toEqual(["b flow 1 due at 1234", "a flow 0 due at 1234"])
  })

  test("a handler is woken once, when it asked to be", () => {
    const { stack, events, setDeadline } = setUp()
    let wakeAt: (deadline: number) => void = () => {}
    stack.register((components) => {
      wakeAt = components.wakeAt
      return recorder(events, "a", [])(components)
    })
    expect(stack.nextDeadline()).toBe(Number.POSITIVE_INFINITY)
    wakeAt(100)
    wakeAt(50)
    setDeadline(70)
    expect(stack.nextDeadline()).toBe(50)
    stack.expire(49)
    expect(events).toEqual([])
    stack.expire(50)
    stack.expire(1000)
    expect(events).toEqual(["a tick at 50"])
    expect(stack.nextDeadline()).toBe(70)
  })

  test("a handler may ask to be woken again while it is", () => {
    const { stack } = setUp()
    let ticks = 0
    stack.register(({ wakeAt }) => {
      wakeAt(10)
      return { name: "a", claims: [], fromGuest: () => HANDLED, tick: (now) => wakeAt(now + 10 + ticks++) }
    })
    stack.expire(10)
    expect([ticks, stack.nextDeadline()]).toEqual([1, 20])
  })
})

test("any number of handlers may ask to be woken", () => {
  const { stack } = setUp()
  const woken: number[] = []
  for (let number = 0; number < 20; number++) {
    stack.register(({ wakeAt }) => {
      wakeAt(100 - number)
      return { name: "a", claims: [], fromGuest: () => HANDLED, tick: () => woken.push(number) }
    })
  }
  expect(stack.nextDeadline()).toBe(81)
  stack.expire(84)
  expect(woken).toEqual([16, 17, 18, 19])
  expect(stack.nextDeadline()).toBe(85)
})

test("each handler has a number of its own, its place in the list", () => {
  const { stack, parts } = setUp()
  const numbers: number[] = []
  const plugin = (components: Components): ProtocolHandler => {
    numbers.push(components.handlerNumber)
    expect(components.drops).toBe(parts.drops)
    return { name: `handler ${components.handlerNumber}`, claims: [], fromGuest: () => HANDLED }
  }
  stack.register(plugin)
  stack.register(plugin)
  expect(numbers).toEqual([0, 1])
  expect(stack.handlers.map((handler) => handler.name)).toEqual(["handler 0", "handler 1"])
})

test("a turn ends with the handlers, then the link, then the flows", () => {
  const { stack, events } = setUp()
  stack.register(recorder(events, "a", []))
  stack.start()
  stack.start()
  stack.endTurn()
  expect(events).toEqual(["a start", "a end turn", "flush", "flows end turn"])
})

test("all flows are ended through their handlers", () => {
  const { stack, events } = setUp()
  stack.register(recorder(events, "a", []))
  stack.register(recorder(events, "b", []))
  stack.abortFlows()
  expect(events.slice(0, 2)).toEqual(["a abort 0", "b abort 1"])
  expect(events.slice(-2)).toEqual(["flush", "flows end turn"])
})

describe("listening", () => {
  const end = { address: undefined, port: 2222, interfaceName: undefined, freebind: false }

  /** A handler that listens by default. */
  function listening(events: string[], name: string, ipProtocol: number, answer = 0): () => ProtocolHandler {
    return () => ({
      name,
      claims: [{ ipProtocol }],
      fromGuest: () => HANDLED,
      listen: ({ ref, end: { port }, targetPort }) => {
        events.push(`${name} listens as ${ref} at ${port} for ${targetPort}`)
        return answer
      },
      unlisten: ({ ref }) => events.push(`${name} closes ${ref}`),
      fromListener: ({ ref }, bits) => events.push(`${name} listener ${ref} event ${bits}`),
    })
  }

  test("is done by the handler of the protocol that can, which gets the events of the port", () => {
    const { stack, events } = setUp()
    stack.register(recorder(events, "deaf", [{ ipProtocol: 6, before: ["six"] }]))
    stack.register(listening(events, "six", 6))
    const ref = stack.listen(6, end, undefined, 22)
    stack.fromListener(ref, 1)
    stack.unlisten(ref)
    stack.fromListener(ref, 1)
    stack.unlisten(ref)
    expect(events).toEqual(["six listens as 0 at 2222 for 22", "six listener 0 event 1", "six closes 0"])
  })

  test("is refused by a protocol that can't, and fails as its handler does", () => {
    const { stack, events } = setUp()
    stack.register(recorder(events, "deaf", [{ ipProtocol: 17 }]))
    stack.register(listening(events, "six", 6, -98))
    expect(stack.listen(17, end, undefined, 22)).toBe(-93)
    expect(stack.listen(132, end, undefined, 22)).toBe(-93)
    expect(stack.listen(6, end, undefined, 22)).toBe(-98)
    stack.fromListener(0 as ListenerRef, 1)
    expect(events).toEqual(["six listens as 0 at 2222 for 22"])
  })

  test("uses the numbers of listeners that are gone again", () => {
    const { stack, events } = setUp()
    stack.register(listening(events, "six", 6))
    const first = stack.listen(6, end, undefined, 1)
    const second = stack.listen(6, end, undefined, 2)
    expect(first).not.toBe(second)
    stack.unlisten(first)
    expect(stack.listen(6, end, undefined, 3)).toBe(first)
  })
})

describe("a guest that goes", () => {
  test("takes its flows with it; the next one is greeted as the first", () => {
    const { stack, events } = setUp()
    stack.register(recorder(events, "six", [{ ipProtocol: 6 }]))
    stack.start()
    stack.start()
    stack.stop()
    stack.start()
    expect(events.filter((event) => event.startsWith("six") && !event.includes("end turn"))).toEqual([
      "six start",
      "six abort 0",
      "six stop",
      "six start",
    ])
  })
})
