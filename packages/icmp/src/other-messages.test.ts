import { HANDLED, type ProtocolPlugin } from "@demiflow/core"
import { build, type Layer, memoryStack } from "@demiflow/testkit"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { icmp } from "./index.ts"
import { families, icmpStack, ping } from "./test-support.ts"

describe.each(families)("other messages over IPv$version", (family) => {
  const { version, guestAddress, server } = family
  const message = (type: number, information = 0): Layer[] => [
    build.ip(guestAddress, server),
    version === 4 ? build.icmp({ type, information }) : build.icmpv6({ type, information }),
  ]

  test("errors from the guest are counted and go no further", () => {
    const { guest, sockets, drops } = icmpStack()
    for (const [type] of [family.hostUnreachable, family.timeExceeded, family.tooBig]) {
      guest.send(...message(type), build.patternPayload(28))
    }
    guest.expectNothing()
    expect(sockets.opened).toBe(0)
    expect(drops.entries()).toEqual([["icmp: error from the guest", 3]])
  })

  // RFC 1122 3.2.2 (unknown)
  test("replies and unknown messages from the guest are counted", () => {
    const { guest, sockets, drops } = icmpStack()
    for (const type of [family.reply, version === 4 ? 13 : 200]) guest.send(...message(type, 1))
    guest.expectNothing()
    expect(sockets.opened).toBe(0)
    expect(drops.entries()).toEqual([["icmp: not an echo request", 2]])
  })

  test("nothing is sent to groups", () => {
    const { guest, sockets, drops } = icmpStack()
    guest.send(...ping(family, 1, 1, { to: version === 4 ? "224.0.0.1" : "ff02::1" }))
    guest.expectNothing()
    expect(sockets.opened).toBe(0)
    expect(drops.entries()).toEqual([["forward: not a unicast address", 1]])
  })

  test("whatever the guest sends, nothing throws, and each packet is answered or counted", () => {
    const changes = fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 4 })
    fc.assert(
      fc.property(
        fc.array(fc.record({ length: fc.nat(60), changes, cut: fc.nat(12) }), { minLength: 1 }),
        (packets) => {
          const memory = icmpStack()
          const { guest, drops } = memory
          for (const { length, changes, cut } of packets) {
            const [outer, header] = ping(family, length, length)
            const payload = build.patternPayload(length).build(new Uint8Array(0), [], undefined)
            const bytes = header.build(payload, [outer], undefined)
            for (const [at, value] of changes) bytes[at % bytes.length] = value
            const content = cut > 8 ? bytes.subarray(0, Math.max(0, bytes.length - cut)) : bytes
            guest.send(build.ip(guestAddress, server, 64, version === 4 ? 1 : 58), build.payload(content))
          }
          memory.run()
          expect(guest.inbox.length + drops.total).toBe(packets.length)
          expect(guest.inbox.flatMap(({ problems }) => problems)).toEqual([])
          memory.stack.abortFlows()
          expect(memory.leftovers()).toEqual([])
        },
      ),
      { numRuns: 100 },
    )
  })
})

test("neighbour and listener discovery are left to others", () => {
  const claimed = [133, 135, 136, 130, 131, 132, 143]
  const types: number[] = []
  const discovery: ProtocolPlugin = ({ arena }) => ({
    name: "discovery",
    claims: [{ ipProtocol: 58, messageTypes: claimed }],
    fromGuest(sequence) {
      for (let index = 0; index < sequence.count; index++) {
        types.push(arena.view.getUint8(sequence.transportOffset[index]))
      }
      return HANDLED
    },
  })
  const { guest, drops } = memoryStack([icmp(), discovery])
  for (const type of claimed) {
    guest.send(build.ip("fe80::2", "fe80::1", 255), build.icmpv6({ type }), build.patternPayload(16))
  }
  guest.expectNothing()
  expect(types).toEqual(claimed)
  expect(drops.total).toBe(0)
})

test("what nobody speaks for is counted by the stack", () => {
  const { guest, drops } = icmpStack()
  guest.send(build.ip("fe80::2", "ff02::2", 255), build.icmpv6({ type: 133 }))
  guest.expectNothing()
  expect(drops.entries()).toEqual([["stack: no handler", 1]])
})

test("the protocol of the other version of IP is counted", () => {
  const { guest, drops } = icmpStack()
  guest.send(build.ip("192.0.2.2", "198.51.100.7"), build.icmpv6({ type: 128 }))
  guest.send(build.ip("2001:db8::2", "2001:db8:1::7"), build.icmp({ type: 8 }))
  guest.expectNothing()
  expect(drops.entries()).toEqual([["icmp: wrong version of IP", 2]])
})
