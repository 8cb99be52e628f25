import {
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
import { families } from "./test-support.ts"

const GUEST_PORT = 40_000
const PORT = 80

/** A protocol that keeps a flow for whatever comes from the guest, and what it hears of errors. */
function listening(): { plugin: ProtocolPlugin; heard: (GuestError & { flow: number; quoted: number })[] } {
  const heard: (GuestError & { flow: number; quoted: number })[] = []
  const plugin: ProtocolPlugin = ({ arena, flows, handlerNumber }) => ({
    name: "listening",
    claims: [{ ipProtocol: IpProtocol.tcp, hasPorts: true }],
    fromTap({ demiflow, protocol }) {
      const created = flows.allocate(handlerNumber, protocol)
      if (created >= 0) flows.activate(flows.target(flows.initiate(created, demiflow), demiflow))
      return HANDLED
    },
    fromGuestError(side, error) {
      expect(side).toBe(initiatingSide((side >> 1) as FlowIndex))
      heard.push({ ...error, flow: side >> 1, quoted: arena.view.getUint32(error.quoteOffset + 4) })
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

  function bench(): MemoryStack & { heard: ReturnType<typeof listening>["heard"] } {
    const { plugin, heard } = listening()
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
    expect(heard.map(({ mtu }) => mtu)).toEqual([1_492, 1_006, 1_006, 508, 68, 0])
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
