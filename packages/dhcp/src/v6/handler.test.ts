import { Address } from "@demiflow/core"
import { build, check, memoryStack, payload, RecordingLog } from "@demiflow/testkit"
import fc from "fast-check"
import { describe, expect, test, vi } from "vitest"
import { dhcpv6 } from "../index.ts"
import { hostileMessages } from "../mutations.fixture.ts"
import { DHCPV6_CAPTURES, type Dhcpv6Capture } from "./captures.fixture.ts"
import { parseDhcpv6 } from "./packet.ts"
import { Dhcpv6MessageType as Type } from "./wire.ts"

const GROUP = "ff02::1:2"
const capture = (name: Dhcpv6Capture) => new Uint8Array(Buffer.from(DHCPV6_CAPTURES[name], "hex"))

function setUp() {
  const log = new RecordingLog()
  const memory = memoryStack([dhcpv6({ guestAddress: Address.parse("2001:db8::2") })], { log })
  const send = (content: Uint8Array, { target = GROUP, source = "fe80::2", ...udp }: SendFields = {}) =>
    memory.guest.send(
      build.ipv6({ source, target }),
      build.udp({ sourcePort: 546, targetPort: 547, ...udp }),
      payload(content),
    )
  return { memory, log, guest: memory.guest, drops: memory.drops, send }
}

interface SendFields {
  target?: string
  source?: string
  sourcePort?: number
  length?: number
  checksum?: number
}

const typeOf = (bytes: Uint8Array) => {
  const parsed = parseDhcpv6(bytes)
  return parsed.kind === "message" ? parsed.message.type : undefined
}

describe("a client on the link", () => {
  // RFC 8415 7.1, RFC 8415 7.2 (server)
  test.each([
    ["dhclientSolicit", Type.advertise],
    ["dhclientConfirm", Type.reply],
    ["dhclientInformationRequest", Type.reply],
  ] as const)("%s is answered from our link-local address", (name, type) => {
    const { memory, guest, send, drops } = setUp()
    send(capture(name))
    const frame = guest.expect(
      check.ethernet({ target: guest.mac }),
      check.ipv6({ source: memory.tap.ourLinkLocal, target: Address.parse("fe80::2") }),
      check.udp({ sourcePort: 547, targetPort: 546 }),
    )
    expect([frame.problems, typeOf(frame.payload), drops.total]).toEqual([[], type, 0])
  })

  test.each([
    ["dhclientSolicit", [false]],
    ["networkdSolicit", [false]],
    ["networkdRapidSolicit", [false]],
    ["dhclientConfirm", []],
    ["dhcpcdRebind", []],
  ] as const)("%s: may be set up anew, and need not have been started", (name, calls) => {
    const { memory, send } = setUp()
    const startsOver = vi.spyOn(memory.tap.neighbours, "startsOver")
    send(capture(name))
    memory.run()
    expect(startsOver.mock.calls.map(([, wasStarted]) => wasStarted)).toEqual(calls)
  })

  // RFC 8415 7.2 (client)
  test("is answered where clients listen, wherever it speaks from (section 7.2)", () => {
    const { guest, send } = setUp()
    send(capture("dhclientSolicit"), { sourcePort: 40_000 })
    guest.expect(check.udp({ sourcePort: 547, targetPort: 546 }))
  })

  test("is named in the log", () => {
    const { log, send, guest } = setUp()
    send(capture("dhclientSolicit"))
    guest.takeAll()
    expect(log.messages("info").join()).toContain(`DHCPv6: received SOLICIT, sending ADVERTISE to ${guest.mac}`)
  })

  test('that speaks to us alone gets "use multicast"', () => {
    const { memory, guest, send } = setUp()
    const target = String(memory.tap.ourLinkLocal)
    send(capture("dhclientRelease"), { target })
    expect(Buffer.from(guest.expect(check.udp({})).payload).toString("hex")).toContain("000d00020005")
  })

  test("that solicits servers at one of them is not heard (section 16)", () => {
    const { memory, guest, send, drops } = setUp()
    send(capture("dhclientSolicit"), { target: String(memory.tap.ourLinkLocal) })
    guest.expectNothing()
    expect(drops.entries()).toEqual([["dhcpv6: unicast", 1]])
  })

  test("of a server beyond us is none of ours", () => {
    const { guest, send, drops } = setUp()
    send(capture("dhclientSolicit"), { target: "2001:db8:9::1", source: "2001:db8::2" })
    guest.expectNothing()
    expect(drops.get("stack: no handler")).toBe(1)
  })
})

describe("what is dropped is counted", () => {
  const dropped = (content: Uint8Array, fields: SendFields = {}) => {
    const { send, drops, guest } = setUp()
    send(content, fields)
    guest.expectNothing()
    return drops.entries()
  }

  test("by what is wrong with it", () => {
    const sound = capture("dhclientSolicit")
    expect(dropped(sound.subarray(0, 3))).toEqual([["dhcpv6: truncated", 1]])
    expect(dropped(sound.subarray(0, 20))).toEqual([["dhcpv6: option length", 1]])
    expect(dropped(sound, { checksum: 0 })).toEqual([["dhcpv6: checksum", 1]])
    expect(dropped(sound, { length: 7 })).toEqual([["dhcpv6: UDP length", 1]])
    expect(dropped(Uint8Array.of(7, 0, 0, 1))).toEqual([["dhcpv6: message type", 1]])
    expect(dropped(sound, { source: "::" })).toEqual([["dhcpv6: source address", 1]])
  })

  test("or answered, or logged: one of the three, whatever it is", () => {
    const { send, drops, guest, log } = setUp()
    const reported = () => log.messages("info").length + log.messages("warning").length
    fc.assert(
      fc.property(hostileMessages(DHCPV6_CAPTURES), (bytes) => {
        const before = drops.total + reported()
        send(bytes)
        const frames = guest.takeAll()
        expect(drops.total + reported() - before).toBe(1)
        for (const frame of frames) {
          expect(frame.problems).toEqual([])
          expect([Type.advertise, Type.reply]).toContain(typeOf(frame.payload))
        }
      }),
      { numRuns: 500 },
    )
  })
})
