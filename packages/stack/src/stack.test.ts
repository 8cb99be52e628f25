import {
  Arena,
  type Claim,
  type Components,
  Demiflow,
  type Disposition,
  Drops,
  type FlowIndex,
  type FlowTable,
  HANDLED,
  initiatingSide,
  type ListenerRef,
  NO_SIDE,
  NOT_MINE,
  type Observer,
  type ProtocolHandler,
  reserving,
  SequenceBuffer,
  silentLog,
  targetSide,
} from "@demiflow/core"
import { FixedFlowTable } from "@demiflow/flow"
import { describe, expect, test } from "vitest"
import { Stack } from "./stack.ts"
import type { StackParts } from "./stack-parts.ts"
import { CountingRandom } from "./test-support.ts"

const flow = (index: number) => index as FlowIndex

/** A stack whose flows 0 and 1 belong to handlers 0 and 1, with a log of what happens to it. */
function setUp() {
  const events: string[] = []
  const drops = new Drops()
  let due: FlowIndex[] = []
  let deadline = Number.POSITIVE_INFINITY
  const flows = {
    handlerOf: (index: number) => (index === 0 || index === 1 ? index : -1),
    nextDeadline: () => deadline,
    expire: (_now: number, visit: (index: FlowIndex) => void) => due.splice(0).forEach(visit),
    forEach: (visit: (index: FlowIndex) => void) => [flow(0), flow(1)].forEach(visit),
    release: () => {},
    endTurn: () => events.push("flows end turn"),
  } as unknown as FlowTable
  const parts = {
    arena: new Arena(64),
    drops,
    flows,
    guest: { flush: () => events.push("flush") },
    clock: { now: 0 },
    forwarding: {},
    log: silentLog,
  } as unknown as StackParts
  return {
    stack: new Stack(parts),
    parts,
    drops,
    events,
    makeDue: (...indices: number[]) => {
      due = indices.map(flow)
    },
    setDeadline: (value: number) => {
      deadline = value
    },
  }
}

/** A handler that logs its calls. */
function recorder(
  events: string[],
  name: string,
  claims: Claim[],
  answer: Disposition = HANDLED,
): (components: Components) => ProtocolHandler {
  return () => ({
    name,
    claims,
    fromGuest: (sequence) => {
      events.push(`${name} got ${sequence.count}`)
      return answer
    },
    fromHost: (side, bits) => events.push(`${name} side ${side} event ${bits}`),
    expire: (index, now) => events.push(`${name} flow ${index} due at ${now}`),
    tick: (now) => events.push(`${name} tick at ${now}`),
    endTurn: () => events.push(`${name} end turn`),
    start: () => events.push(`${name} start`),
    stop: () => events.push(`${name} stop`),
    abort: (index) => events.push(`${name} abort ${index}`),
  })
}

function packets(protocol: number, forwardingPort = 0, count = 1): SequenceBuffer {
  const sequence = new SequenceBuffer(4)
  sequence.protocol = protocol
  sequence.etherType = 0x0800
  sequence.demiflow.forwardingPort = forwardingPort
  sequence.count = count
  return sequence
}

describe("packets from the guest", () => {
  test("go to the handler of their IP protocol", () => {
    const { stack, events } = setUp()
    stack.register(recorder(events, "six", [{ ipProtocol: 6 }]))
    stack.register(recorder(events, "one", [{ ipProtocol: 1 }, { ipProtocol: 58 }]))
    stack.fromGuest(packets(58, 0, 3))
    stack.fromGuest(packets(6))
    expect(events).toEqual(["one got 3", "six got 1"])
  })

  test("that aren't IP go by their EtherType", () => {
    const { stack, events } = setUp()
    stack.register(recorder(events, "arp", [{ etherType: 0x0806 }]))
    const sequence = packets(-1)
    sequence.etherType = 0x0806
    stack.fromGuest(sequence)
    expect(events).toEqual(["arp got 1"])
  })

  test("go to the claimant of their port before the one of the whole protocol, in whatever order they register", () => {
    const { stack, events } = setUp()
    stack.register(recorder(events, "udp", [{ ipProtocol: 17, hasPorts: true }]))
    stack.register(recorder(events, "dhcp", [{ ipProtocol: 17, forwardingPort: 67 }]))
    stack.fromGuest(packets(17, 67))
    stack.fromGuest(packets(17, 68))
    expect(events).toEqual(["dhcp got 1", "udp got 1"])
  })

  test("a claim to a port of one protocol is none to that port of another", () => {
    const { stack, events } = setUp()
    stack.register(recorder(events, "dns", [{ ipProtocol: 17, forwardingPort: 53 }]))
    stack.register(recorder(events, "tcp", [{ ipProtocol: 6, hasPorts: true }]))
    stack.fromGuest(packets(6, 53))
    expect(events).toEqual(["tcp got 1"])
  })

  describe("that a handler doesn't want", () => {
    const claimants: [string, Claim, Disposition][] = [
      ["port", { ipProtocol: 17, forwardingPort: 53 }, NOT_MINE],
      ["first", { ipProtocol: 17, before: ["second", "third"] }, NOT_MINE],
      ["second", { ipProtocol: 17, before: ["third"] }, HANDLED],
      ["third", { ipProtocol: 17 }, HANDLED],
    ]

    test.each([
      [0, 1, 2, 3],
      [3, 2, 1, 0],
      [2, 0, 3, 1],
      [1, 3, 0, 2],
    ])("are offered to the next by its claim, if they register as %i, %i, %i, %i", (...order) => {
      const { stack, events, drops } = setUp()
      for (const index of order) {
        const [name, claim, answer] = claimants[index]
        stack.register(recorder(events, name, [claim], answer))
      }
      stack.fromGuest(packets(17, 53))
      expect(events).toEqual(["port got 1", "first got 1", "second got 1"])
      expect(drops.total).toBe(0)
    })
  })

  test.each([
    [{ ipProtocol: 17 }, { ipProtocol: 17 }, "IP protocol 17"],
    [{ ipProtocol: 17, before: ["b"] }, { ipProtocol: 17, before: ["a"] }, "IP protocol 17"],
    [{ ipProtocol: 17, forwardingPort: 53 }, { ipProtocol: 17, forwardingPort: 53 }, "port 53 of IP protocol 17"],
    [
      { ipProtocol: 58, messageTypes: [1, 2] },
      { ipProtocol: 58, messageTypes: [2] },
      "message type 2 of IP protocol 58",
    ],
    [{ etherType: 0x0806 }, { etherType: 0x0806 }, "EtherType 2054"],
    [{ otherIpProtocols: true }, { otherIpProtocols: true }, "other IP protocols"],
  ] as [Claim, Claim, string][])("can't be claimed twice without an order: %j, %j", (first, second, what) => {
    for (const [a, b] of [
      [first, second],
      [second, first],
    ]) {
      const { stack, events } = setUp()
      stack.register(recorder(events, a === first ? "a" : "b", [a]))
      const problem = { code: "ERR_CLAIM_CONFLICT", message: expect.stringContaining(what) }
      expect(() => stack.register(recorder(events, a === first ? "b" : "a", [b]))).toThrow(
        expect.objectContaining(problem),
      )
    }
  })

  test("can't be claimed in a circle, nor one protocol by ports and by message types", () => {
    const { stack, events } = setUp()
    stack.register(recorder(events, "a", [{ ipProtocol: 17, before: ["b"] }]))
    stack.register(recorder(events, "b", [{ ipProtocol: 17, before: ["c"] }]))
    expect(() => stack.register(recorder(events, "c", [{ ipProtocol: 17, before: ["a"] }]))).toThrow("before itself")
    expect(() => stack.register(recorder(events, "types", [{ ipProtocol: 17, messageTypes: [8] }]))).not.toThrow()
    expect(() => stack.register(recorder(events, "port", [{ ipProtocol: 17, forwardingPort: 7 }]))).toThrow(
      "by port and by message type",
    )
  })

  test("go to the claimant of their message type first, in whatever order they register", () => {
    for (const isReversed of [false, true]) {
      const { stack, events, parts } = setUp()
      const plugins = [
        recorder(events, "icmp", [{ ipProtocol: 58 }]),
        recorder(events, "ndp", [{ ipProtocol: 58, messageTypes: [135, 136] }]),
      ]
      for (const plugin of isReversed ? plugins.reverse() : plugins) stack.register(plugin)
      for (const type of [135, 128, 136]) {
        parts.arena.view.setUint8(0, type)
        const sequence = packets(58)
        sequence.endOffset[0] = 8
        stack.fromGuest(sequence)
      }
      // Too short for a type.
      stack.fromGuest(packets(58))
      expect(events).toEqual(["ndp got 1", "icmp got 1", "ndp got 1", "icmp got 1"])
    }
  })

  test("that nobody wants are counted, all of them", () => {
    const { stack, drops } = setUp()
    stack.fromGuest(packets(132, 0, 3))
    const sequence = packets(-1, 0, 2)
    sequence.etherType = 0x88cc
    stack.fromGuest(sequence)
    expect(drops.get("stack: no handler")).toBe(5)
  })

  test("go to the claimant of other protocols if nobody claims theirs, in whatever order they register", () => {
    const { stack, drops, events } = setUp()
    stack.register(recorder(events, "others", [{ otherIpProtocols: true }]))
    stack.register(recorder(events, "tcp", [{ ipProtocol: 6 }], NOT_MINE))
    stack.register(recorder(events, "dns", [{ ipProtocol: 17, forwardingPort: 53 }]))
    for (const sequence of [packets(132), packets(6), packets(17, 53), packets(17, 54), packets(-1)]) {
      stack.fromGuest(sequence)
    }
    expect(events).toEqual(["others got 1", "tcp got 1", "dns got 1", "others got 1"])
    // TCP's own handler declines it, and a frame that isn't IP has no IP protocol.
    expect(drops.entries()).toEqual([["stack: no handler", 2]])
  })

  test("that a handler drops are counted under its reason", () => {
    const { stack, drops, events } = setUp()
    stack.register(recorder(events, "tcp", [{ ipProtocol: 6 }], drops.reason("tcp: malformed")))
    stack.fromGuest(packets(6, 0, 4))
    expect(drops.entries()).toEqual([["tcp: malformed", 4]])
  })

  test("ports are known of protocols for which a handler says so", () => {
    const { stack, events } = setUp()
    expect(stack.hasPorts(6)).toBe(false)
    stack.register(recorder(events, "a", [{ ipProtocol: 6, hasPorts: true }, { ipProtocol: 1 }]))
    stack.register(recorder(events, "b", [{ ipProtocol: 17, forwardingPort: 67 }]))
    expect([6, 17, 1, 132, -1, 256].map((protocol) => stack.hasPorts(protocol))).toEqual([
      true,
      true,
      false,
      false,
      false,
      false,
    ])
  })
})

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

describe("a plug-in that can't be registered", () => {
  /** Registers a plug-in that reserves memory and asks to be woken, and that fails. Returns the function that wakes it. */
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
    "The arena has 64 bytes left and 128 are needed: plug-in 2 of the stack asks for them, and declares 32 in all; " +
    'declare its true "arenaBytes" with reserving(), or create a larger arena'
  const error = { code: "ERR_ARENA_EXHAUSTED", message, size: 128, remaining: 64 }
  expect(() => stack.register(greedy)).toThrow(expect.objectContaining(error))
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
