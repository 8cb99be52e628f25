import { HANDLED, type ProtocolPlugin } from "@demiflow/core"
import { build, check, type MemoryStackOptions, memoryStack, patternBytes } from "@demiflow/testkit"
import { protocolCompliance } from "@demiflow/testkit/compliance"
import { describe, expect, test } from "vitest"
import { refusal } from "./index.ts"

const NOT_CARRIED = "ip: protocol that isn't carried"
const GRE = 47
/** A guest that knows our Ethernet address: frames sent to everybody get no answer. */
const guest = { gatewayMac: "9a:55:9a:55:9a:55" }
const refusingStack = (options: MemoryStackOptions = {}, ...others: ProtocolPlugin[]) =>
  memoryStack([refusal(), ...others], { guest, ...options })

describe("refusal", () =>
  protocolCompliance(() => ({
    plugin: refusal(),
    samples: ({ v4, v6 }) => [
      [build.ip(v4, "198.51.100.7", 64, GRE), build.patternPayload(40)],
      [build.ip(v6, "2001:db8:1::7", 64, GRE), build.patternPayload(40)],
    ],
  })))

describe.each([
  [4, "192.0.2.2", "198.51.100.7", { type: 3, code: 2, information: 0 }],
  [6, "2001:db8::2", "2001:db8:1::7", { type: 4, code: 1, information: 6 }],
] as const)("over IPv%i", (_version, guestAddress, server, refused) => {
  // RFC 1122 3.2.2.1
  test.each([2, GRE, 50, 51, 132, 136, 253, 255])(
    "protocol %i is refused by the address asked, and quoted",
    (protocol) => {
      const { guest, sockets, drops } = refusingStack()
      guest.send(build.ip(guestAddress, server, 64, protocol), build.patternPayload(32))
      guest.expect(
        check.ip({ source: server, target: guestAddress }),
        check.icmp(refused),
        check.quote(check.ip({ source: guestAddress, target: server, protocol }), check.payload(patternBytes(32))),
      )
      expect([drops.entries(), sockets.opened]).toEqual([[[NOT_CARRIED, 1]], 0])
    },
  )

  test("TCP, UDP and ICMP that are turned off are dropped in silence", () => {
    const { guest, drops } = refusingStack()
    for (const protocol of [6, 17, _version === 4 ? 1 : 58]) {
      guest.send(build.ip(guestAddress, server, 64, protocol), build.patternPayload(32))
    }
    guest.expectNothing()
    expect(drops.entries()).toEqual([["stack: no handler", 3]])
  })

  test("a protocol that somebody handles is not refused", () => {
    const handler: ProtocolPlugin = () => ({ name: "gre", claims: [{ ipProtocol: GRE }], fromGuest: () => HANDLED })
    const { guest } = refusingStack({}, handler)
    guest.send(build.ip(guestAddress, server, 64, GRE), build.patternPayload(32))
    guest.expectNothing()
  })

  // RFC 4443 2.4 (rate), RFC 1812 4.3.2.8
  test("a flood is answered at the rate of a host, and all of it is counted", () => {
    const { guest, drops, run } = refusingStack()
    const flood = (count: number) => {
      for (let index = 0; index < count; index++) guest.send(build.ip(guestAddress, server, 64, GRE))
      return guest.takeAll().length
    }
    expect(flood(200)).toBe(50)
    run(10)
    expect(flood(200)).toBe(10)
    expect(drops.get(NOT_CARRIED)).toBe(400)
  })

  test("a datagram in fragments is refused once", () => {
    const { guest, drops } = refusingStack({ link: { mtu: 1500 } })
    const fragments =
      _version === 4
        ? [0, 24].map((offset) => [
            build.ipv4({
              source: guestAddress,
              target: server,
              protocol: GRE,
              identification: 7,
              moreFragments: offset === 0,
              fragmentOffset: offset,
            }),
          ])
        : [0, 24].map((offset) => [
            build.ip(guestAddress, server),
            build.fragmentHeader({ offset, moreFragments: offset === 0, identification: 7, nextHeader: GRE }),
          ])
    for (const headers of fragments) guest.send(...headers, build.patternPayload(24))
    guest.expect(check.icmp(refused))
    guest.expectNothing()
    expect(drops.get(NOT_CARRIED)).toBe(1)
  })
})

describe("nothing is said (RFC 1122, section 3.2.2; RFC 4443, section 2.4 (e))", () => {
  test.each([
    ["to a group", "192.0.2.2", "224.0.0.22", "forward: not a unicast address"],
    ["to everybody", "192.0.2.2", "255.255.255.255", "forward: not a unicast address"],
    ["from nobody", "0.0.0.0", "198.51.100.7", "forward: not a unicast address"],
    ["to an IPv6 group", "2001:db8::2", "ff02::16", "forward: not a unicast address"],
    ["from nobody over IPv6", "::", "2001:db8:1::7", "forward: not a unicast address"],
  ])("%s", (_, from, to, reason) => {
    const { guest, drops } = refusingStack()
    guest.send(build.ip(from, to, 64, GRE), build.patternPayload(8))
    guest.expectNothing()
    expect(drops.entries()).toEqual([[reason, 1]])
  })

  // RFC 1122 3.2.2 (link)
  test.each(["ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01"])("in a frame to %s", (target) => {
    const { guest, drops } = refusingStack()
    guest.send(build.ethernet({ source: guest.mac, target }), build.ip("192.0.2.2", "192.0.2.255", 64, GRE))
    guest.expectNothing()
    expect(drops.entries()).toEqual([[NOT_CARRIED, 1]])
  })

  test("over a version of IP that is off", () => {
    const { guest, drops } = refusingStack({ rules: { v4: {} } })
    guest.send(build.ip("2001:db8::2", "2001:db8:1::7", 64, GRE), build.patternPayload(8))
    guest.expectNothing()
    expect(drops.entries()).toEqual([["forward: IP version disabled", 1]])
  })
})

// RFC 8200 4
test("behind extension headers, the pointer names the field that announces it", () => {
  const { guest } = refusingStack()
  const ip = build.ip("2001:db8::2", "2001:db8:1::7")
  const atomic = build.fragmentHeader({ offset: 0, moreFragments: false, identification: 1 })
  const last = build.extensionHeader("destinationOptions", { nextHeader: GRE, content: new Uint8Array(14) })
  guest.send(ip, build.extensionHeader("hopByHop"), atomic, last, build.patternPayload(8))
  guest.expect(check.icmp({ type: 4, code: 1, information: 40 + 8 + 8 }))
  guest.send(ip, build.extensionHeader("destinationOptions", { nextHeader: GRE }), build.patternPayload(8))
  guest.expect(check.icmp({ type: 4, code: 1, information: 40 }))
})
