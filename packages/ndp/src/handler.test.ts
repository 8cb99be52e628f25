import { Address, CHECKSUM_DONE, Demiflow, HANDLED, Interface, IpProtocol, type ProtocolPlugin } from "@demiflow/core"
import { build, check, payload } from "@demiflow/testkit"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import {
  ADDRESS_LIFETIME,
  ALL_NODES,
  type Fields,
  GATEWAY,
  GUEST,
  LINK_LOCAL,
  NA,
  NOBODY,
  NS,
  RA,
  RS,
  setUp,
  solicitedNode,
  sourceLinkLayer,
} from "./test-support.ts"

describe("neighbour solicitations", () => {
  // RFC 4861 7.2.4 (solicited), RFC 4861 7.2.4 (destination)
  test("for what is ours in earnest are answered, overriding what the guest knew", () => {
    const { ask, tap } = setUp()
    expect([ask(GATEWAY), ask(String(tap.ourLinkLocal))]).toEqual(["RSO", "RSO"])
  })

  // RFC 4861 7.2.8, RFC 4861 7.2.4 (link-layer)
  test.each(["2001:db8::77", "fe80::77", "2001:db8:9::1", "fd00::1"])(
    "for %s are answered, as a proxy's",
    (address) => {
      expect(setUp().ask(address)).toBe("RS")
    },
  )

  test("are answered from the address asked for if it is ours, else from our link-local one", () => {
    const { solicit, guest, tap } = setUp()
    solicit(GATEWAY)
    solicit("2001:db8::77")
    expect(guest.takeAll().map((frame) => String(frame.ip?.source))).toEqual([GATEWAY, String(tap.ourLinkLocal)])
  })

  test.each([GUEST, "::1", "::"])("for %s are not answered", (address) => {
    expect(setUp().ask(address)).toBeUndefined()
  })

  test("of a known neighbour's reachability come by unicast, without our own address in them", () => {
    const { solicit, answer } = setUp()
    solicit(GATEWAY, { source: GUEST, target: GATEWAY }, [])
    expect(answer(GATEWAY, GUEST)).toBe("RSO")
  })
})

describe("addresses of the guest's own", () => {
  test("that it speaks from are not answered for", () => {
    const { ask } = setUp()
    expect(ask("2001:db8::9")).toBe("RS")
    expect(ask(GATEWAY, { source: "2001:db8::9" })).toBe("RSO")
    expect([ask("2001:db8::9"), ask(LINK_LOCAL)]).toEqual([undefined, undefined])
  })

  test("that it advertises are not answered for", () => {
    const { ask, advertise } = setUp()
    advertise("2001:db8::9", { information: 0x20000000 })
    expect(ask("2001:db8::9")).toBeUndefined()
  })

  test("are forgotten when they were not seen for long", () => {
    const { ask, advertise, memory } = setUp()
    advertise("2001:db8::9")
    memory.run(ADDRESS_LIFETIME - 1)
    expect(ask("2001:db8::9")).toBeUndefined()
    memory.run(1)
    expect(ask("2001:db8::9")).toBe("RS")
    expect(ask(GUEST)).toBeUndefined()
  })

  test("are forgotten when the guest goes", () => {
    const { ask, advertise, memory, log } = setUp()
    advertise("2001:db8::9")
    advertise(GATEWAY)
    expect(ask("2001:db8::9")).toBeUndefined()
    memory.stack.stop()
    memory.tap.forgetGuest()
    memory.stack.start()
    expect([ask("2001:db8::9"), ask(GUEST)]).toEqual(["RS", undefined])
    advertise(GATEWAY)
    memory.run()
    expect(log.messages("warning")).toHaveLength(2)
  })
})

describe("the guest is solicited at the start", () => {
  test("by its assigned address, so that it shows its Ethernet address", () => {
    const { guest, tap } = setUp({ asksForGuest: true })
    expect(tap.guestMac.isBroadcast).toBe(true)
    const frame = guest.expect(
      check.ipv6({ source: tap.ourLinkLocal, target: Address.parse(solicitedNode(GUEST)), hopLimit: 255 }),
      check.icmp({ type: NS, code: 0 }),
    )
    expect([frame.problems, String(frame.ethernet?.target)]).toEqual([[], "33:33:ff:00:00:02"])
    const mac = tap.ourMac.toString().replaceAll(":", "")
    expect(Buffer.from(frame.payload).toString("hex")).toBe(`${"20010db8000000000000000000000002"}0101${mac}`)
  })

  test("not without an address, nor when it was seen", () => {
    setUp({ asksForGuest: true, guestAddress: undefined }).guest.expectNothing()
    const seen = setUp({ asksForGuest: true })
    seen.advertise(GUEST)
    seen.memory.run()
    seen.guest.takeAll()
    seen.memory.stack.stop()
    seen.memory.stack.start()
    seen.guest.expectNothing()
  })
})

describe("duplicate address detection (RFC 4862, section 5.4)", () => {
  test("shows where the guest is reached, before it sends anything from there", () => {
    const { detect, guest, tap } = setUp()
    detect("2001:db8::99")
    detect("fe80::99")
    guest.takeAll()
    expect([String(tap.lastSeenV6), String(tap.lastSeenLinkLocal)]).toEqual(["2001:db8::99", "fe80::99"])
    detect(GATEWAY)
    guest.takeAll()
    expect(String(tap.lastSeenV6)).toBe("2001:db8::99")
  })

  test("is left alone for whatever may be the guest's, which the address is from then on", () => {
    const { detect, answer, ask } = setUp()
    for (const address of [GUEST, "2001:db8::9", "fe80::9"]) {
      detect(address)
      expect(answer(address)).toBeUndefined()
      expect(ask(address)).toBeUndefined()
    }
  })

  // RFC 4861 7.2.4 (solicited), RFC 4861 7.2.4 (destination)
  test("is answered to all nodes for what is ours", () => {
    const { detect, answer, tap } = setUp()
    for (const address of [GATEWAY, String(tap.ourLinkLocal)]) {
      detect(address)
      expect(answer(address, ALL_NODES)).toBe("RO")
    }
  })
})

test("the guest is asked for when its link was gone, as it may be another one", () => {
  const { guest, memory, advertise } = setUp({ asksForGuest: true })
  advertise(GUEST)
  memory.run()
  guest.takeAll()
  memory.stack.reconnected()
  memory.run()
  expect(guest.takeAll().map((frame) => String(frame.ip?.target))).toEqual([solicitedNode(GUEST)])
})

test("an answer whose station has to be asked for keeps its addresses", () => {
  const { guest, memory, tap } = setUp()
  guest.send(
    build.ethernet({ source: String(tap.ourMac) }),
    build.ipv6({ source: "2001:db8::9", target: solicitedNode(GATEWAY), hopLimit: 255 }),
    build.icmpv6({ type: NS }),
    payload(Address.parse(GATEWAY).toBytes()),
  )
  memory.run()
  expect(guest.takeAll().map(({ icmp, ip }) => [icmp?.type, String(ip?.source), String(ip?.target)])).toEqual([
    [NS, String(tap.ourLinkLocal), solicitedNode("2001:db8::9")],
    [NA, GATEWAY, "2001:db8::9"],
  ])
})

describe("the neighbour table", () => {
  const A = "02:00:00:00:00:0a"
  const B = "02:00:00:00:00:0b"
  const NEIGHBOUR = "2001:db8::9"
  const OVERRIDE = 0x20000000
  const bytesOf = (mac: string) => [...Buffer.from(mac.replaceAll(":", ""), "hex")]
  const sendTo = ({ memory: { tap, guest } }: ReturnType<typeof setUp>, address: string) => {
    const side = Demiflow.of(Interface.tap, Address.parse(GATEWAY), 53, Address.parse(address), 4000)
    guest.takeAll()
    tap.end(tap.begin(side, 253, 8), 8, CHECKSUM_DONE)
    tap.flush()
    return guest.takeAll()
  }
  const stationOf = (setup: ReturnType<typeof setUp>, address: string) =>
    String(sendTo(setup, address).at(-1)?.ethernet?.target)
  /** Sends an advertisement with the option that names a station. */
  const advertise = ({ send }: ReturnType<typeof setUp>, mac: string, source: string, information: number) =>
    send([...Address.parse(NEIGHBOUR).toBytes(), 2, 1, ...bytesOf(mac)], { type: NA, source, information })

  // RFC 4861 7.2.3
  test("has the station that a solicitation or an advertisement names", () => {
    const setup = setUp()
    setup.solicit(GATEWAY, { source: "2001:db8::77" }, [1, 1, ...bytesOf(B)])
    advertise(setup, A, NEIGHBOUR, OVERRIDE)
    expect([stationOf(setup, "2001:db8::77"), stationOf(setup, NEIGHBOUR)]).toEqual([B, A])
  })

  // RFC 4861 7.2.5
  test("moves an address by what comes from it and overrides, by nothing else", () => {
    const setup = setUp()
    advertise(setup, A, NEIGHBOUR, OVERRIDE)
    // The packet itself comes from the other address: the guest's own station.
    advertise(setup, B, "2001:db8::77", OVERRIDE)
    setup.detect(NEIGHBOUR)
    expect(stationOf(setup, NEIGHBOUR)).toBe(A)
    advertise(setup, B, NEIGHBOUR, OVERRIDE)
    expect(stationOf(setup, NEIGHBOUR)).toBe(B)
  })

  // RFC 4861 7.2.2, RFC 4861 4.3
  test("has us solicit an address that isn't known", () => {
    const setup = setUp()
    const [question, packet] = sendTo(setup, "2001:db8::1:2")
    expect([question.icmp?.type, String(question.ip?.target), String(question.ethernet?.target)]).toEqual([
      NS,
      solicitedNode("2001:db8::1:2"),
      "33:33:ff:01:00:02",
    ])
    expect(packet.ip?.target).toEqual(Address.parse("2001:db8::1:2"))
  })

  test("has us solicit the station alone that was silent for a minute", () => {
    const setup = setUp()
    setup.advertise(NEIGHBOUR, { source: NEIGHBOUR })
    setup.memory.run(60_000)
    const [question] = sendTo(setup, NEIGHBOUR)
    expect([question.icmp?.type, String(question.ip?.target), String(question.ethernet?.target)]).toEqual([
      NS,
      NEIGHBOUR,
      String(setup.guest.mac),
    ])
  })
})

test("a conflict with an address of ours is logged once", () => {
  const { advertise, log, memory } = setUp()
  advertise(GATEWAY)
  advertise(GATEWAY)
  memory.run()
  expect(log.messages("warning")).toEqual([expect.stringContaining(GATEWAY)])
})

describe("other ICMPv6 goes on to the next handler", () => {
  test("also out of the middle of a sequence", () => {
    const seen: number[] = []
    const icmp: ProtocolPlugin = ({ arena }) => ({
      name: "icmp",
      claims: [{ ipProtocol: IpProtocol.icmpv6 }],
      fromGuest(sequence) {
        for (let index = 0; index < sequence.count; index++) {
          seen.push(arena.view.getUint8(sequence.transportOffset[index]), sequence.hopLimit[index])
        }
        return HANDLED
      },
    })
    const { send, guest, memory } = setUp({}, [icmp])
    const target = [...Address.parse("2001:db8::77").toBytes()]
    // All in one turn: the stack makes one sequence of them.
    for (const [type, hopLimit, body] of [
      [NS, 255, target],
      [128, 61, []],
      [NS, 255, target],
      [129, 62, []],
      [NS, 1, target],
      [143, 63, []],
    ] as [number, number, number[]][]) {
      send(body, { type, hopLimit, target: GATEWAY })
    }
    memory.run()
    expect(seen).toEqual([128, 61, 129, 62, 143, 63])
    expect(guest.takeAll().map((frame) => frame.icmp?.type)).toEqual([NA, NA])
    expect(memory.drops.entries()).toEqual([["ndp: hop limit", 1]])
  })
})

describe("what is malformed is counted (RFC 4861, sections 6.1.1, 7.1.1, 7.1.2)", () => {
  const dropped = (body: readonly number[], fields: Fields) => {
    const { send, guest, drops } = setUp({ routerAdvertisement: undefined })
    send(body, fields)
    guest.expectNothing()
    return drops.entries()
  }
  const target = [...Address.parse("2001:db8::77").toBytes()]
  const group = solicitedNode("2001:db8::77")

  test.each([
    // RFC 4861 7.1.1 (hop-limit)
    ["hop limit", target, { type: NS, hopLimit: 254 }],
    // RFC 4861 6.1.1 (hop-limit)
    ["hop limit", [], { type: RS, hopLimit: 64 }],
    // RFC 4861 7.1.2 (hop-limit)
    ["hop limit", target, { type: NA, hopLimit: 254 }],
    // RFC 4861 7.1.1 (checksum)
    ["checksum", target, { type: NS, checksum: 1 }],
    // RFC 4861 7.1.1 (code)
    ["code", target, { type: NS, code: 1 }],
    // RFC 4861 7.1.1 (length)
    ["truncated", target.slice(1), { type: NS }],
    // RFC 4861 7.1.1 (target)
    ["target", [...Address.parse("ff02::1").toBytes()], { type: NS }],
    // RFC 4861 4.6
    ["option length", [...target, 1, 0, 0, 0, 0, 0, 0, 0], { type: NS }],
    ["option length", [...target, 1, 2, 0, 0, 0, 0, 0, 0], { type: NS }],
    ["option length", [...target, 1, 1, 0], { type: NS }],
    // RFC 4861 7.1.1 (source)
    ["address", [...target, ...sourceLinkLayer], { type: NS, source: NOBODY, target: group }],
    ["address", target, { type: NS, source: NOBODY, target: ALL_NODES }],
    // RFC 4861 7.1.2 (target)
    ["target", [...Address.parse("ff02::1").toBytes()], { type: NA }],
    // RFC 4861 7.1.2 (solicited)
    ["address", target, { type: NA, information: 0x40000000, target: ALL_NODES }],
    // RFC 4861 6.1.1 (source)
    ["address", sourceLinkLayer, { type: RS, source: NOBODY }],
    // RFC 4861 4.6
    ["option length", [1, 0, 0, 0, 0, 0, 0, 0], { type: RS }],
    // RFC 4861 6.1.2
    ["message type", new Array(16).fill(0), { type: RA }],
    // RFC 4861 8.1
    ["message type", new Array(40).fill(0), { type: 137 }],
  ] as [string, number[], Fields][])("%s: %j %j", (reason, body, fields) => {
    expect(dropped(body, fields)).toEqual([[`ndp: ${reason}`, 1]])
  })

  test("any message is answered, passed over or counted, and never throws", () => {
    const { send, guest, drops } = setUp({ routerAdvertisement: { prefix: Address.parse(GUEST) } })
    guest.takeAll()
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 64 }),
      fc.uint8Array({ maxLength: 40 }).map((options) => Uint8Array.of(...target, ...options)),
    )
    const fields = fc.record({
      type: fc.integer({ min: RS, max: 137 }),
      code: fc.constantFrom(0, 0, 0, 1),
      hopLimit: fc.constantFrom(255, 255, 255, 64),
      information: fc.nat(),
      source: fc.constantFrom(LINK_LOCAL, NOBODY, GUEST),
      target: fc.constantFrom(ALL_NODES, group, GATEWAY),
    })
    fc.assert(
      fc.property(body, fields, (bytes, header) => {
        const before = drops.total
        send([...bytes], header)
        const answers = guest.takeAll()
        for (const frame of answers) expect(frame.problems).toEqual([])
        expect(answers.length + drops.total - before).toBeLessThanOrEqual(1)
      }),
    )
  })
})
