/** Which handler gets a packet. */
import { type Claim, type Disposition, HANDLED, NOT_MINE } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { packets, recorder, setUp } from "./stack.fixture.ts"

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
