import { Address } from "@demiflow/core"
import { build, check, type MemoryStackOptions, memoryStack, payload, RecordingLog } from "@demiflow/testkit"
import fc from "fast-check"
import { describe, expect, test, vi } from "vitest"
import { dhcpv4 } from "../index.ts"
import { hostileMessages } from "../mutations.fixture.ts"
import { DHCPV4_CAPTURES, type Dhcpv4Capture } from "./captures.fixture.ts"
import { parseDhcpv4 } from "./packet.ts"
import { Dhcpv4Option as Option, Dhcpv4MessageType as Type } from "./wire.ts"

const serverAddress = Address.parse("192.0.2.1")
const lease = { guestAddress: Address.parse("192.0.2.2"), prefixLength: 24, serverAddress, gateway: serverAddress }

const capture = (name: Dhcpv4Capture) => new Uint8Array(Buffer.from(DHCPV4_CAPTURES[name], "hex"))

function setUp(options: MemoryStackOptions = {}) {
  const log = new RecordingLog()
  const memory = memoryStack([dhcpv4(lease)], { log, ...options })
  const send = (content: Uint8Array, { target = "255.255.255.255", source = "0.0.0.0", ...udp } = {}) =>
    memory.guest.send(
      build.ipv4({ source, target }),
      build.udp({ sourcePort: 68, targetPort: 67, ...udp }),
      payload(content),
    )
  return { memory, guest: memory.guest, drops: memory.drops, log, send }
}

function typeOf(bytes: Uint8Array): number | undefined {
  const parsed = parseDhcpv4(bytes)
  return parsed.kind === "message" ? parsed.message.options.get(Option.messageType)?.[0] : undefined
}

describe("a client that asked for the interface's MTU and has it now takes such packets", () => {
  test.each([
    ["dhclientRequest", [[true, 9000]]],
    ["dhclientReboot", [[true, 9000]]],
    ["dhcpcdRapidDiscover", [[true, 9000]]],
    ["networkdRenew", [[true, 9000]]],
    ["dhclientDiscover", []],
    ["udhcpcRequest", []],
    ["oldWindowsInform", []],
  ] as const)("%s", (name, noticed) => {
    const memory = memoryStack([dhcpv4({ ...lease, mtu: 9000 })])
    const noticeMtu = vi.spyOn(memory.tap, "noticeMtu")
    memory.guest.send(
      build.ipv4({ source: "0.0.0.0", target: "255.255.255.255" }),
      build.udp({ sourcePort: 68, targetPort: 67 }),
      payload(capture(name)),
    )
    expect(memory.guest.takeAll()).toHaveLength(1)
    expect(noticeMtu.mock.calls).toEqual(noticed)
  })

  test("nothing is known without an MTU in the lease", () => {
    const { memory, send } = setUp()
    const noticeMtu = vi.spyOn(memory.tap, "noticeMtu")
    send(capture("dhclientRequest"))
    memory.run()
    expect(noticeMtu).not.toHaveBeenCalled()
  })
})

describe("a client that asks for an address anew", () => {
  const startsOver = (content: Uint8Array) => {
    const { memory, send } = setUp()
    const spy = vi.spyOn(memory.tap.neighbours, "startsOver")
    send(content)
    memory.run()
    return spy.mock.calls.map(([station, wasStarted]) => [String(station), wasStarted])
  }
  const DISCOVERS: Dhcpv4Capture[] = ["udhcpcDiscover", "dhclientDiscover", "dhcpcdDiscover", "networkdDiscover"]

  test.each(DISCOVERS)("%s: was started", (name) => {
    expect(startsOver(capture(name))).toEqual([[String(setUp().guest.mac), true]])
  })

  test("and names the one that it had may have run on", () => {
    expect(startsOver(capture("windowsDiscover"))).toMatchObject([[expect.anything(), false]])
    const discover = capture("udhcpcDiscover")
    discover.set([192, 0, 2, 2], 12)
    expect(startsOver(discover)).toMatchObject([[expect.anything(), false]])
  })

  test("was started if it speaks BOOTP", () => {
    const boots = new Uint8Array(300)
    boots.set(capture("udhcpcDiscover").subarray(0, 236))
    expect(startsOver(boots)).toMatchObject([[expect.anything(), true]])
  })

  test.each(["udhcpcRequest", "dhclientReboot", "networkdRenew", "oldWindowsInform"] as const)("not %s", (name) => {
    expect(startsOver(capture(name))).toEqual([])
  })
})

describe("a client on the link", () => {
  test.each([
    ["udhcpcDiscover", Type.offer],
    ["udhcpcRequest", Type.acknowledge],
    ["dhclientDiscover", Type.offer],
    ["dhclientReboot", Type.acknowledge],
  ] as const)("%s", (name, type) => {
    const { guest, send, drops } = setUp()
    send(capture(name))
    const frame = guest.expect(
      check.ethernet({ target: guest.mac }),
      check.ipv4({ source: serverAddress, target: lease.guestAddress }),
      check.udp({ sourcePort: 67, targetPort: 68 }),
    )
    expect([frame.problems, typeOf(frame.payload), drops.total]).toEqual([[], type, 0])
    guest.expectNothing()
  })

  test("that speaks BOOTP gets its address in 300 bytes, without a message type", () => {
    const { guest, send, log } = setUp()
    const bytes = capture("udhcpcDiscover").slice(0, 300).fill(0, 236)
    send(bytes)
    const frame = guest.expect(
      check.ipv4({ target: lease.guestAddress }),
      check.udp({ sourcePort: 67, targetPort: 68 }),
    )
    expect([frame.problems, frame.payload.length, typeOf(frame.payload)]).toEqual([[], 300, undefined])
    expect([...frame.payload.subarray(16, 20)]).toEqual([192, 0, 2, 2])
    expect(log.messages("info")).toEqual([expect.stringContaining("reply to BOOTP request")])
  })

  test("that can't receive yet is answered by broadcast", () => {
    const { guest, send } = setUp()
    const bytes = capture("udhcpcDiscover")
    bytes[10] = 0x80
    send(bytes)
    guest.expect(
      check.ethernet({ target: (mac) => mac.isBroadcast }),
      check.ipv4({ target: (address) => address.isLimitedBroadcast }),
    )
  })

  test("may renew by unicast, and is refused where it can't", () => {
    const { guest, send } = setUp()
    send(capture("udhcpcRequest"), { source: "192.0.2.2", target: "192.0.2.1" })
    expect(typeOf(guest.expect(check.udp({ targetPort: 68 })).payload)).toBe(Type.acknowledge)
  })

  // RFC 2131 4.1 (port)
  test("of a server beyond us is none of ours", () => {
    const { guest, send, drops } = setUp()
    send(capture("udhcpcRequest"), { source: "192.0.2.2", target: "198.51.100.67" })
    guest.expectNothing()
    expect(drops.get("stack: no handler")).toBe(1)
  })

  test("is answered at the station that asked, when several ask at once", () => {
    const { guest, memory } = setUp()
    const stations = ["00:00:5e:00:53:11", "00:00:5e:00:53:12"]
    for (const source of stations) {
      guest.send(
        build.ethernet({ source }),
        build.ipv4({ source: "0.0.0.0", target: "255.255.255.255" }),
        build.udp({ sourcePort: 68, targetPort: 67 }),
        payload(capture("networkdDiscover")),
      )
    }
    memory.run()
    expect(guest.takeAll().map((frame) => String(frame.ethernet?.target))).toEqual(stations)
  })

  test("is named in the log", () => {
    const { log, send, guest } = setUp()
    send(capture("udhcpcDiscover"))
    guest.takeAll()
    expect(log.messages("info").join()).toContain(`DHCP: offer to discover from ${guest.mac}`)
  })
})

describe("what is dropped is counted", () => {
  const dropped = (
    content: Uint8Array,
    fields: Parameters<ReturnType<typeof setUp>["send"]>[1] & { length?: number; checksum?: number } = {},
  ) => {
    const { send, drops, guest } = setUp()
    send(content, fields)
    guest.expectNothing()
    return drops.entries()
  }

  test("by what is wrong with it", () => {
    const sound = capture("udhcpcDiscover")
    expect(dropped(sound.subarray(0, 200))).toEqual([["dhcp: truncated", 1]])
    const other = sound.map((byte, index) => (index === 236 ? 0 : byte)).subarray(0, 299)
    expect(dropped(other)).toEqual([["dhcp: no magic cookie", 1]])
    expect(dropped(sound, { checksum: 0x1234 })).toEqual([["dhcp: checksum", 1]])
    expect(dropped(sound, { length: 7 })).toEqual([["dhcp: UDP length", 1]])
    expect(dropped(sound, { length: 9000 })).toEqual([["dhcp: UDP length", 1]])
    expect(dropped(sound.map((byte, index) => (index === 0 ? 2 : byte)))).toEqual([["dhcp: not a request", 1]])
  })

  test("or answered, or logged: one of the three, whatever it is", () => {
    const { send, drops, guest, log } = setUp()
    const reported = () => log.messages("info").length + log.messages("warning").length
    fc.assert(
      fc.property(hostileMessages(DHCPV4_CAPTURES), (bytes) => {
        const before = drops.total + reported()
        send(bytes)
        const frames = guest.takeAll()
        expect(drops.total + reported() - before).toBe(1)
        for (const frame of frames) {
          expect(frame.problems).toEqual([])
          // A reply to a BOOTP request has no type.
          expect([Type.offer, Type.acknowledge, Type.refuse, undefined]).toContain(typeOf(frame.payload))
        }
      }),
      { numRuns: 500 },
    )
  })
})

test.each([
  ["the client takes", "udhcpcDiscover", 576],
  ["the link carries", "networkdRenew", 1500],
] as const)("a message no longer than %s leaves in one piece", (_what, name, longest) => {
  const searchDomains = Array.from({ length: 200 }, (_, index) => `domain-number-${index}.example`)
  const { guest } = memoryStack([dhcpv4({ ...lease, searchDomains })], { link: { mtu: 1500 } })
  guest.send(
    build.ipv4({ source: "0.0.0.0", target: "255.255.255.255" }),
    build.udp({ sourcePort: 68, targetPort: 67 }),
    payload(capture(name)),
  )
  const frame = guest.expect(check.udp({}))
  expect(typeOf(frame.payload)).toBeDefined()
  expect(frame.ip?.length).toBeLessThanOrEqual(longest)
  expect(frame.ip?.length).toBeGreaterThan(longest - 30)
  guest.expectNothing()
})
