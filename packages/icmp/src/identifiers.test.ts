import { Address, Demiflow, Interface, initiatingSide, NO_SIDE, targetSide } from "@demiflow/core"
import { build, check, type MemoryStack } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { families, icmpStack, ping } from "./test-support.ts"

/** Returns the flows' identifiers on the host, by the addresses of guest and correspondent. */
function identifiersOf(memory: MemoryStack): Record<string, number> {
  const identifiers: Record<string, number> = {}
  const [tap, host] = [new Demiflow(), new Demiflow()]
  memory.flows.forEach((flow) => {
    memory.flows.readSide(initiatingSide(flow), tap)
    memory.flows.readSide(targetSide(flow), host)
    identifiers[`${tap.correspondentAddress} ${tap.forwardingAddress}`] = host.forwardingPort
  })
  return identifiers
}

describe.each(families)("an identifier of the guest's over IPv$version", (family) => {
  const { guestAddress, otherAddress, server, reply, routers } = family
  const correspondents = [server, ...routers]

  /** Makes another program of the host hold the identifier. */
  function occupy(memory: MemoryStack, identifier: number): void {
    const anywhere = Address.parse(family.version === 4 ? "0.0.0.0" : "::")
    const ends = Demiflow.of(Interface.host, anywhere, identifier, Address.parse(server), 0)
    expect(memory.sockets.pingBind(NO_SIDE, ends)).toBeGreaterThanOrEqual(0)
  }

  // RFC 5508 REQ-1
  test("is the same on the host for every correspondent, by one socket (RFC 5508, REQ-1 a)", () => {
    const memory = icmpStack({ sockets: { rtt: 10 } })
    const { guest, sockets } = memory
    for (const to of correspondents) guest.send(...ping(family, 9, 1, { to }))
    for (const to of correspondents) guest.send(...ping(family, 9, 2, { to }), build.payload(to))
    memory.run(20)
    for (const sequence of [1, 2]) {
      for (const source of correspondents) {
        const { payload } = guest.expect(
          check.ip({ source, target: guestAddress }),
          check.icmp({ type: reply, identifier: 9, sequence }),
        )
        expect(new TextDecoder().decode(payload)).toBe(sequence === 2 ? source : "")
      }
    }
    expect([sockets.opened, memory.flows.size]).toEqual([1, 3])
    expect(Object.values(identifiersOf(memory))).toEqual([9, 9, 9])
    expect(memory.drops.total).toBe(0)
  })

  test("is another one to all correspondents where another program has it", () => {
    const memory = icmpStack()
    occupy(memory, 9)
    for (const to of correspondents) memory.guest.send(...ping(family, 9, 1, { to }))
    for (const source of correspondents) {
      memory.guest.expect(check.ip({ source }), check.icmp({ type: reply, identifier: 9 }))
    }
    const identifiers = new Set(Object.values(identifiersOf(memory)))
    expect(identifiers.size).toBe(1)
    expect(identifiers).not.toContain(9)
  })

  test("of two addresses, is the first one's, and the second has another one to all correspondents", () => {
    const memory = icmpStack()
    const addresses = [guestAddress, otherAddress]
    for (const [index, to] of [routers[0], routers[1], server].entries()) {
      for (const from of addresses) memory.guest.send(...ping(family, 9, index, { from, to }))
      for (const target of addresses) {
        memory.guest.expect(
          check.ip({ source: to, target }),
          check.icmp({ type: reply, identifier: 9, sequence: index }),
        )
      }
    }
    const identifiers = identifiersOf(memory)
    const [first, second] = addresses.map((from) => new Set(correspondents.map((to) => identifiers[`${from} ${to}`])))
    expect(first).toEqual(new Set([9]))
    expect(second.size).toBe(1)
    expect(second).not.toContain(9)
    expect(memory.sockets.opened).toBe(2)
  })

  test("is another one to a correspondent that the guest knows by two addresses, whose replies stay apart", () => {
    const guestAlias = Address.parse(routers[0])
    const rules = { guestAddress: Address.parse(otherAddress), guestAlias }
    const memory = icmpStack({ rules: { v4: rules, v6: rules } })
    for (const to of [otherAddress, routers[0], otherAddress]) {
      memory.guest.send(...ping(family, 9, 1, { to }))
      memory.guest.expect(check.ip({ source: to }), check.icmp({ type: reply, identifier: 9 }))
    }
    expect(memory.sockets.opened).toBe(2)
  })

  test("has the errors of each correspondent quote the request to it", () => {
    const { guest, sockets } = icmpStack()
    const [type, code] = family.hostUnreachable
    sockets.world.route(server, { hops: routers, isUnreachable: true })
    guest.send(...ping(family, 9, 1, { to: routers[0] }))
    guest.expect(check.ip({ source: routers[0] }), check.icmp({ type: reply, sequence: 1 }))
    guest.send(...ping(family, 9, 2))
    guest.expect(
      check.icmp({ type, code }),
      check.quote(check.ip({ source: guestAddress, target: server }), check.icmp({ identifier: 9, sequence: 2 })),
    )
    guest.expectNothing()
  })

  test("sends each request with its own hop limit", () => {
    const { guest, sockets } = icmpStack()
    sockets.world.route(server, { hops: routers })
    for (const hopLimit of [1, 2, 1]) {
      guest.send(...ping(family, 9, hopLimit, { hopLimit }))
      guest.send(...ping(family, 9, 7, { to: routers[1] }))
      guest.expect(check.ip({ source: routers[hopLimit - 1] }), check.icmp({ type: family.timeExceeded[0] }))
      guest.expect(check.ip({ source: routers[1] }), check.icmp({ type: reply, sequence: 7 }))
    }
    expect(sockets.opened).toBe(1)
  })

  test("is in use as long as one flow is, whichever began it", () => {
    const memory = icmpStack()
    const ask = (to: string, sequence: number) => {
      memory.guest.send(...ping(family, 9, sequence, { to }))
      memory.guest.expect(check.ip({ source: to }), check.icmp({ type: reply, identifier: 9, sequence }))
    }
    ask(server, 1)
    memory.run(30_000)
    ask(routers[0], 1)
    memory.run(30_000)
    expect(memory.flows.size).toBe(1)
    ask(routers[0], 2)
    ask(server, 2)
    expect(memory.sockets.opened).toBe(1)
    memory.run(60_000)
    expect(memory.leftovers()).toEqual([])
  })

  test("brings back replies to all correspondents that waited while the guest was congested", () => {
    const memory = icmpStack()
    let isCongested = true
    Object.defineProperty(memory.tap, "isCongested", { get: () => isCongested })
    for (const to of correspondents) memory.guest.send(...ping(family, 9, 1, { to }))
    memory.run(1)
    memory.guest.expectNothing()
    isCongested = false
    memory.stack.resume()
    memory.stack.endTurn()
    expect(memory.guest.takeAll().map(({ ip }) => `${ip?.source}`)).toEqual(correspondents)
  })
})

test("versions of IP have one identifier each, and the same one", () => {
  const memory = icmpStack()
  for (const family of families) memory.guest.send(...ping(family, 9, 1))
  for (const { reply } of families) memory.guest.expect(check.icmp({ type: reply, identifier: 9 }))
  expect(Object.values(identifiersOf(memory))).toEqual([9, 9])
})
