import { Address, Demiflow, Errno, ErrorOrigin, type SocketError, SocketEvent, targetSide } from "@demiflow/core"
import { build, check, type MemoryStack } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { families, icmpStack, ping } from "./test-support.ts"

/** Adds entries to the error queue of the stack's sockets, and notifies the sides of the sockets. */
function injectErrors(memory: MemoryStack, ...entries: (Partial<SocketError> & { payload?: Uint8Array })[]): void {
  const { arena, sockets } = memory
  const space = arena.reserve(2048)
  const asked = new Demiflow()
  sockets.receiveError = (_socket, into) => {
    const { payload = new Uint8Array(0), ...entry } = entries.shift() ?? { errno: 0 }
    if (entry.errno === 0) return 0
    arena.bytes.set(payload, space)
    into.reporter.copyFrom(entry.reporter ?? new Address())
    into.destination.copyFrom(entry.destination ?? asked.correspondentAddress)
    const { reporter: _, destination: __, ...rest } = entry
    Object.assign(into, { icmpType: 0, icmpCode: 0, information: 0, ...rest })
    into.payloadOffset = space
    into.payloadLength = payload.length
    return 1
  }
  memory.flows.forEach((flow) => {
    memory.flows.readSide(targetSide(flow), asked)
    memory.stack.fromHost(targetSide(flow), SocketEvent.error)
  })
  memory.stack.endTurn()
}

describe.each(families)("errors over IPv$version", (family) => {
  const { version, guestAddress, server, gateway, routers } = family

  test("a request to what the policy keeps from the guest is answered as a firewall does", () => {
    const own = new Set([server])
    const memory = icmpStack({ closedHost: { isOwn: (address) => own.has(String(address)) } })
    const [type, code] = version === 4 ? [3, 13] : [1, 1]
    memory.guest.send(...ping(family, 7, 1))
    memory.guest.expect(
      check.ip({ source: server }),
      check.icmp({ type, code }),
      check.quote(check.icmp({ identifier: 7, sequence: 1 })),
    )
    expect(memory.drops.entries()).toEqual([["forward: the host is closed to the guest", 1]])
    expect(memory.leftovers()).toEqual([])

    own.delete(server)
    memory.guest.send(...ping(family, 7, 2))
    memory.guest.expect(check.icmp({ type: family.reply }))
    own.add(server)
    memory.run(30_000)
    memory.guest.send(...ping(family, 7, 3))
    memory.guest.expect(check.icmp({ type: family.reply }))
    memory.run(31_000)
    expect(memory.flows.size).toBe(0)
  })
  const origin = version === 4 ? ErrorOrigin.icmp : ErrorOrigin.icmpv6

  test("tracing a route finds every router, and each error quotes the request that it is about", () => {
    const { guest, sockets } = icmpStack()
    sockets.world.route(server, { hops: routers })
    for (const [index, router] of routers.entries()) {
      guest.send(...ping(family, 0x7777, 100 + index, { hopLimit: index + 1 }), build.payload("probe"))
      const [type, code] = family.timeExceeded
      guest.expect(
        check.ip({ source: router, target: guestAddress }),
        check.icmp({ type, code, information: 0 }),
        check.quote(
          check.ip({ source: guestAddress, target: server }),
          check.icmp({ type: family.request, code: 0, identifier: 0x7777, sequence: 100 + index }),
          check.payload("probe"),
        ),
      )
    }
    guest.send(...ping(family, 0x7777, 102, { hopLimit: 3 }))
    guest.expect(check.ip({ source: server }), check.icmp({ type: family.reply, sequence: 102 }))
    guest.expectNothing()
  })

  test("the request is quoted with a right checksum, even where the host sent it under another identifier", () => {
    const { guest, sockets } = icmpStack()
    sockets.world.route(server, { hops: routers })
    guest.send(...ping(family, 9, 5, { to: routers[1] }))
    guest.send(...ping(family, 9, 1, { hopLimit: 1 }), build.payload("probes"))
    const { icmp } = guest.expectSome(check.icmp({ type: family.timeExceeded[0] }))
    expect(icmp?.quote?.icmp).toMatchObject({ identifier: 9, sequence: 1 })
    expect(icmp?.quote?.problems).toEqual([])
  })

  test("an unreachable host, and too large a request, are relayed as they were reported", () => {
    const { guest, sockets } = icmpStack()
    sockets.world.route(server, { hops: routers, isUnreachable: true })
    guest.send(...ping(family, 1, 1))
    const [type, code] = family.hostUnreachable
    guest.expect(check.ip({ source: routers[1] }), check.icmp({ type, code }))
    sockets.world.route(server, { hops: routers, mtu: 1300 })
    guest.send(...ping(family, 1, 2, { doNotFragment: true }), build.patternPayload(1400))
    const [tooBigType, tooBigCode] = family.tooBig
    guest.expect(
      check.ip({ source: routers[1] }),
      check.icmp({ type: tooBigType, code: tooBigCode, information: 1300 }),
      check.quote(check.icmp({ sequence: 2 })),
    )
  })

  test("a request that may be fragmented is, on its way over IPv4", () => {
    const { guest, sockets } = icmpStack()
    sockets.world.route(server, { hops: routers, mtu: 1300 })
    guest.send(...ping(family, 1, 1), build.patternPayload(1400))
    const [type, code] = family.version === 4 ? [0, 0] : family.tooBig
    guest.expect(check.icmp({ type, code }))
  })

  test("no route on the host is reported in the name of the address that the guest wrote to", () => {
    const { guest, sockets, drops } = icmpStack()
    sockets.world.route(server, { hasNoRoute: true })
    guest.send(...ping(family, 1, 1), build.payload("there?"))
    const [type, code] = family.netUnreachable
    guest.expect(
      check.ip({ source: server, target: guestAddress }),
      check.icmp({ type, code }),
      check.quote(check.icmp({ identifier: 1, sequence: 1 }), check.payload("there?")),
    )
    expect(drops.total).toBe(1)
  })

  test("the host without an address of this version is reported in the same way", () => {
    const memory = icmpStack({ sockets: { addresses: [] } })
    memory.guest.send(...ping(family, 1, 1))
    const [type, code] = family.netUnreachable
    memory.guest.expect(check.ip({ source: server }), check.icmp({ type, code }), check.quote(check.icmp()))
    expect(memory.drops.entries()).toEqual([["icmp: refused by the host", 1]])
    expect(memory.leftovers()).toEqual([])
  })

  test("refusals of the host's own are limited in number", () => {
    const { guest, sockets, drops } = icmpStack({ sockets: { addresses: [] } })
    expect(sockets.openSockets).toBe(0)
    for (let sequence = 0; sequence < 200; sequence++) guest.send(...ping(family, 1, sequence))
    expect(guest.takeAll()).toHaveLength(50)
    expect(drops.total).toBe(200)
  })

  test("a quotation without the ICMP header gets one, with the sequence number last sent", () => {
    const memory = icmpStack()
    memory.guest.send(...ping(family, 0x55, 42))
    memory.guest.takeAll()
    const [icmpType, icmpCode] = family.hostUnreachable
    injectErrors(memory, { errno: Errno.EHOSTUNREACH, origin, icmpType, icmpCode })
    memory.guest.expect(
      check.ip({ source: server }),
      check.icmp({ type: icmpType, code: icmpCode }),
      check.quote(check.icmp({ type: family.request, identifier: 0x55, sequence: 42 })),
    )
  })

  test("the reporter is named as the guest knows it, and never with the guest's own address", () => {
    const hostLoopback = Address.parse(gateway)
    const memory = icmpStack({ rules: { v4: { hostLoopback }, v6: { hostLoopback } } })
    memory.guest.send(...ping(family, 1, 1))
    memory.guest.takeAll()
    const [icmpType, icmpCode] = family.timeExceeded
    const entry = { errno: Errno.EHOSTUNREACH, origin, icmpType, icmpCode }
    const reporters = [family.loopback, guestAddress, server, routers[0], families[version === 4 ? 1 : 0].server]
    injectErrors(memory, ...reporters.map((reporter) => ({ ...entry, reporter: Address.parse(reporter) })))
    const reported = memory.guest.takeAll().map(({ ip }) => `${ip?.source}`)
    expect(reported).toEqual([gateway, server, server, routers[0], server])
  })

  test("an error reported over the other version of IP goes by what it means; what has no form is counted", () => {
    const memory = icmpStack()
    memory.guest.send(...ping(family, 1, 1))
    memory.guest.takeAll()
    const elsewhere = version === 4 ? ErrorOrigin.icmpv6 : ErrorOrigin.icmp
    injectErrors(memory, { errno: Errno.EHOSTUNREACH, origin: elsewhere, icmpType: 3 }, { errno: 92, origin: 9 })
    const [type, code] = family.hostUnreachable
    memory.guest.expect(check.icmp({ type, code }))
    memory.guest.expectNothing()
    expect(memory.drops.entries()).toEqual([["icmp: error without ICMP form", 1]])
  })

  // RFC 5508 REQ-4
  test("an error about a packet to anybody else than the correspondent is not believed", () => {
    const memory = icmpStack()
    memory.guest.send(...ping(family, 1, 1))
    memory.guest.takeAll()
    const [icmpType, icmpCode] = family.hostUnreachable
    const forged = { errno: Errno.EHOSTUNREACH, origin, icmpType, icmpCode, destination: Address.parse(routers[1]) }
    injectErrors(memory, forged)
    memory.guest.expectNothing()
    expect(memory.drops.entries()).toEqual([["icmp: error without ICMP form", 1]])
  })

  test("forged errors between a request and its sending are not taken for the host's refusal", () => {
    const memory = icmpStack()
    const { guest, sockets } = memory
    guest.send(...ping(family, 1, 1))
    guest.takeAll()
    const [icmpType, icmpCode] = family.hostUnreachable
    const entry = { errno: Errno.EHOSTUNREACH, origin, icmpType, icmpCode, destination: Address.parse(routers[1]) }
    const send = sockets.sendDatagramsTo.bind(sockets)
    let forged = 5
    let isReported = false
    sockets.sendDatagramsTo = (...parameters) => {
      if (forged === 0) return send(...parameters)
      forged--
      isReported = true
      return -Errno.EHOSTUNREACH
    }
    sockets.receiveError = (_socket, into) => {
      if (!isReported) return 0
      isReported = false
      into.destination.copyFrom(entry.destination)
      Object.assign(into, { ...entry, destination: into.destination })
      return 1
    }
    guest.send(...ping(family, 1, 2))
    guest.expect(check.icmp({ type: family.reply, sequence: 2 }))
    forged = Number.POSITIVE_INFINITY
    guest.send(...ping(family, 1, 3))
    guest.expectNothing()
    expect(memory.drops.get("icmp: refused by the host")).toBe(1)
  })

  test("a request that the host finds too big is reported with the MTU from its error queue, or not at all", () => {
    const memory = icmpStack()
    const { guest, sockets } = memory
    guest.send(...ping(family, 1, 1))
    guest.takeAll()
    sockets.sendDatagramsTo = () => -Errno.EMSGSIZE
    guest.send(...ping(family, 1, 2))
    guest.expectNothing()
    injectErrors(memory)
    const entries: Partial<SocketError>[] = []
    // Each refused call leaves an entry.
    sockets.sendDatagramsTo = () => {
      entries.push({ errno: Errno.EMSGSIZE, information: 1280 })
      return -Errno.EMSGSIZE
    }
    sockets.receiveError = (_socket, into) => {
      const entry = entries.shift()
      if (entry === undefined) return 0
      Object.assign(into, { origin: ErrorOrigin.host, ...entry })
      return 1
    }
    guest.send(...ping(family, 1, 3))
    const [type, code] = family.tooBig
    guest.expect(check.ip({ source: server }), check.icmp({ type, code, information: 1280 }))
    expect(memory.drops.get("icmp: refused by the host")).toBe(2)
  })
})
