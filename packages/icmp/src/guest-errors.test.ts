import {
  Address,
  type FlowIndex,
  type GuestError,
  HANDLED,
  IpProtocol,
  initiatingSide,
  type ProtocolPlugin,
} from "@demiflow/core"
import { build, type Layer, type MemoryStack, memoryStack } from "@demiflow/testkit"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { icmp } from "./index.ts"
import { families, icmpStack, ping } from "./test-support.ts"

const GUEST_PORT = 40_000
const PORT = 80

/**
 * A protocol that keeps a flow for each packet from the guest, records the errors it receives, and believes them or
 * not.
 */
function listening(believes = true): {
  plugin: ProtocolPlugin
  heard: (GuestError & { flow: number; quoted: number })[]
} {
  const heard: (GuestError & { flow: number; quoted: number })[] = []
  const plugin: ProtocolPlugin = ({ arena, flows, handlerNumber }) => ({
    name: "listening",
    claims: [{ ipProtocol: IpProtocol.tcp, hasPorts: true }],
    fromGuest({ demiflow, protocol }) {
      const created = flows.allocate(handlerNumber, protocol)
      if (created >= 0) flows.activate(flows.target(flows.initiate(created, demiflow), demiflow))
      return HANDLED
    },
    fromGuestError(side, error) {
      expect(side).toBe(initiatingSide((side >> 1) as FlowIndex))
      heard.push({ ...error, flow: side >> 1, quoted: arena.view.getUint32(error.quoteOffset + 4) })
      return believes
    },
    abort: (flow) => flows.release(flow),
  })
  return { plugin, heard }
}

describe.each(families)("an error from the guest's side over IPv$version", (family) => {
  const { version, guestAddress, otherAddress, server } = family
  const [type, code] = family.tooBig
  const header = (mtu: number): Layer => {
    const fields = { type, code, information: mtu }
    return version === 4 ? build.icmp(fields) : build.icmpv6(fields)
  }
  const segment = build.tcp({ sourcePort: PORT, targetPort: GUEST_PORT, sequence: 12_345, flags: "A" })

  function bench(believes = true): MemoryStack & { heard: ReturnType<typeof listening>["heard"] } {
    const { plugin, heard } = listening(believes)
    const memory = memoryStack([plugin, icmp()])
    memory.guest.send(
      build.ip(guestAddress, server),
      build.tcp({ sourcePort: GUEST_PORT, targetPort: PORT, flags: "S" }),
    )
    memory.run()
    expect(memory.flows.size).toBe(1)
    return Object.assign(memory, { heard })
  }

  test("reaches the protocol whose packet it quotes, whichever router sent it", () => {
    const { guest, heard, drops } = bench()
    for (const from of [guestAddress, otherAddress]) {
      guest.send(build.ip(from, server), header(1_300), build.ip(server, guestAddress), segment, build.payload("x"))
    }
    guest.expectNothing()
    expect(heard).toHaveLength(2)
    for (const error of heard) expect(error).toMatchObject({ type, code, mtu: 1_300, flow: 0, quoted: 12_345 })
    expect(drops.total).toBe(0)
  })

  // RFC 1122 3.2.2 (destination), RFC 1122 3.2.2 (quote), RFC 5508 REQ-5
  test("is counted if it is about no flow, was not sent to its end, or quotes too little", () => {
    const { guest, heard, drops } = bench()
    const other = build.tcp({ sourcePort: PORT, targetPort: GUEST_PORT + 1, flags: "A" })
    const quote = (...layers: Layer[]) => guest.send(build.ip(guestAddress, server), header(1_300), ...layers)
    quote(build.ip(server, guestAddress), other)
    quote(build.ip(server, otherAddress), segment)
    quote(build.ip(otherAddress, guestAddress), segment)
    quote(build.ip(server, guestAddress, 64, IpProtocol.udp), segment)
    quote(build.ip(server, guestAddress, 64, IpProtocol.tcp), build.payload("1234567"))
    quote()
    guest.expectNothing()
    expect(heard).toEqual([])
    expect(drops.entries()).toEqual([["icmp: error from the guest", 6]])
  })

  test("of any content is handed on or counted, and nothing throws", () => {
    const changes = fc.array(fc.tuple(fc.nat(70), fc.nat(255)), { maxLength: 3 })
    fc.assert(
      fc.property(changes, fc.nat(80), (changed, length) => {
        const { guest, heard, drops } = bench()
        const quote = build
          .ip(server, guestAddress)
          .build(segment.build(new Uint8Array(0), [build.ip(server, guestAddress)], undefined), [], segment)
        for (const [at, value] of changed) quote[at % quote.length] = value
        guest.send(build.ip(guestAddress, server), header(1_300), build.payload(quote.subarray(0, length)))
        guest.expectNothing()
        expect(heard.length + drops.total).toBe(1)
      }),
      { numRuns: 100 },
    )
  })

  // RFC 1191 7.1
  test("without an MTU, as old routers send it, is given the next that links have (RFC 1191, section 7.1)", () => {
    if (version === 6) return
    const { guest, heard } = bench()
    const lengths = [1_500, 1_492, 1_007, 600, 296, 40]
    for (const totalLength of lengths) {
      guest.send(
        build.ip(guestAddress, server),
        header(0),
        build.ipv4({ source: server, target: guestAddress, totalLength }),
        segment,
      )
    }
    guest.expectNothing()
    expect(heard.map(({ mtu }) => mtu)).toEqual([1_492, 1_006, 1_006, 508, 0, 0])
  })

  // RFC 8201 4
  test("of an MTU that links don't have makes nothing that small (RFC 1191, section 7.1; RFC 8201, section 4)", () => {
    const { guest, heard } = bench()
    for (const mtu of [68, 295, 296, 1_279, 1_280]) {
      guest.send(build.ip(guestAddress, server), header(mtu), build.ip(server, guestAddress), segment)
    }
    guest.expectNothing()
    expect(heard.map(({ mtu }) => mtu)).toEqual(version === 4 ? [296, 296, 296, 1_279, 1_280] : [0, 0, 0, 0, 1_280])
  })

  test("counts for the path to the packet's destination, if its protocol believes it", () => {
    for (const believes of [false, true]) {
      const { guest, drops, tap } = bench(believes)
      guest.send(build.ip(otherAddress, server), header(1_300), build.ip(server, guestAddress), segment)
      guest.expectNothing()
      const known = [guestAddress, otherAddress].map((address) => tap.pathMtu(Address.parse(address)))
      expect(known).toEqual([believes ? 1_300 : tap.mtu, tap.mtu])
      expect(drops.total).toBe(believes ? 0 : 1)
    }
  })
})

describe("a reply to a ping that is too big for a link behind the guest", () => {
  const lengths = ({ guest }: MemoryStack) => guest.takeAll().map(({ bytes }) => bytes.length - 14)

  test.each(families)("over IPv$version", (family) => {
    const { version, guestAddress, otherAddress, server } = family
    const memory = icmpStack()
    const { guest, drops } = memory
    const ask = () => {
      guest.send(...ping(family, 7, 1), build.patternPayload(2_000))
      return lengths(memory)
    }
    const [type, code] = family.tooBig
    const report = (quoted: number, identifier: number) => {
      const fields = { type, code, information: 1_300 }
      const echo = { type: quoted, information: (identifier << 16) | 1 }
      guest.send(
        build.ip(otherAddress, server),
        version === 4 ? build.icmp(fields) : build.icmpv6(fields),
        build.ip(server, guestAddress),
        version === 4 ? build.icmp(echo) : build.icmpv6(echo),
        build.patternPayload(1_000),
      )
    }
    const whole = [2_008 + (version === 4 ? 20 : 40)]
    expect(ask()).toEqual(whole)
    report(family.reply, 8)
    report(family.request, 7)
    expect(ask()).toEqual(whole)
    report(family.reply, 7)
    // Over IPv4, the router fragments what is too big.
    expect(ask()).toEqual(version === 4 ? whole : [1_296, 48 + 2_008 - 1_248])
    expect(drops.total).toBe(version === 4 ? 3 : 2)
  })
})

test("a later fragment's quote is of no packet's beginning", () => {
  const [{ guestAddress, server }] = families
  const { plugin, heard } = listening()
  const { guest, drops } = memoryStack([plugin, icmp()])
  guest.send(
    build.ip(guestAddress, server),
    build.icmp({ type: 3, code: 4, information: 1_300 }),
    build.ipv4({ source: server, target: guestAddress, fragmentOffset: 8, protocol: IpProtocol.tcp }),
    build.payload("12345678"),
  )
  guest.expectNothing()
  expect(heard).toEqual([])
  expect(drops.total).toBe(1)
})
