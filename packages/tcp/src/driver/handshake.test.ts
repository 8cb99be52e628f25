import { Address, Demiflow, Errno, Interface, LOOPBACK_V4, NO_SIDE, NOT_MINE, UNSPECIFIED_V4 } from "@demiflow/core"
import { check, type MemoryStack } from "@demiflow/testkit"
import { describe, expect, test, vi } from "vitest"
import { after, bench, connected, PORT, SERVER, SERVER_V6, scripted, segments } from "../test-support/bench.ts"

const SERVERS = { IPv4: SERVER, IPv6: SERVER_V6 }

/** Expects that nothing is left, neither here nor on the host. */
function expectNothingLeft(memory: MemoryStack): void {
  expect(memory.leftovers()).toEqual([])
}

describe.each(Object.entries(SERVERS))("the handshake over %s", (name, target) => {
  const isV4 = name === "IPv4"
  const headers = isV4 ? 40 : 60

  test("is answered with our MSS, and window scaling if the guest scales", () => {
    const memory = bench()
    const guest = scripted(memory, { target, sequence: 0xffff_ffff })
    guest.send("S", "", { options: { mss: 1_400, windowScale: 7, sackPermitted: true } })
    guest.expect(
      check.ip({ source: target, target: guest.source }),
      check.tcp({ flags: "SA", acknowledgement: 0, window: 0xffff }),
      check.tcpOptions({ mss: 1_500 - headers, windowScale: 8, sackPermitted: undefined, timestamps: undefined }),
      check.payloadLength(0),
    )
    guest.send("A")
    memory.guest.expectNothing()
    expect(memory.listener.connection.address.equals(Address.parse(target))).toBe(true)
  })

  test("says what the guest's interface takes in one frame", () => {
    const memory = bench()
    const noticeMtu = vi.spyOn(memory.tap, "noticeMtu")
    scripted(memory, { target }).send("S", "", { options: { mss: 8_960 } })
    memory.run()
    expect(noticeMtu.mock.calls).toEqual([[isV4, 8_960 + headers]])
  })

  // RFC 9293 3.7.1
  test("without options is answered without window scaling, and segments are as small as the standard says", () => {
    const { memory, guest, world } = connected({ ends: { target }, syn: {} })
    world.write(new Uint8Array(3_000))
    const sizes = segments(memory).map(({ payload }) => payload.length)
    // RFC 9293, section 3.7.1.
    const standard = isV4 ? 536 : 1_220
    expect(sizes[0]).toBe(standard)
    expect(Math.max(...sizes)).toBe(standard)
    guest.send("A")
  })

  test("is not begun before the host's: a refusal is a reset with the numbers of RFC 9293, section 3.5.2", () => {
    const memory = bench({ sockets: { rtt: 20 } })
    const guest = scripted(memory, { target, port: 81, sequence: 7_000 })
    guest.send("S")
    memory.run(19)
    memory.guest.expectNothing()
    memory.run(1)
    guest.expect(check.tcp({ flags: "RA", sequence: 0, acknowledgement: 7_001 }), check.payloadLength(0))
    memory.guest.expectNothing()
    expectNothingLeft(memory)
  })

  test.each([
    ["at once", "noRoute", 0, isV4 ? { type: 3, code: 0 } : { type: 1, code: 0 }],
    ["by a router", "unreachable", 20, isV4 ? { type: 3, code: 1 } : { type: 1, code: 3 }],
    ["by nobody's answer", "silent", 127_000, isV4 ? { type: 3, code: 1 } : { type: 1, code: 3 }],
  ] as const)(
    "to where the host doesn't get, as it learns %s, brings an ICMP error that quotes the SYN",
    (_, outcome, delay, error) => {
      const memory = bench({ sockets: { rtt: 20 } })
      memory.sockets.world.route(target, { tcp: outcome })
      const guest = scripted(memory, { target, sequence: 0xdead_beef, sourcePort: 4_321 })
      guest.send("S")
      memory.run(delay)
      memory.guest.expect(
        check.ip({ source: target, target: guest.source }),
        check.icmp(error),
        check.quote(
          check.ip({ source: guest.source, target }),
          check.tcp({ sourcePort: 4_321, targetPort: PORT, sequence: 0xdead_beef }),
        ),
      )
      memory.guest.expectNothing()
      expectNothingLeft(memory)
    },
  )

  test("to where the host doesn't get, tried very often, brings a limited number of errors, and no resets instead", () => {
    const memory = bench({ capacity: 8_192 })
    memory.sockets.world.route(target, { tcp: "noRoute" })
    for (let port = 0; port < 200; port++) scripted(memory, { target, sourcePort: 10_000 + port }).send("S")
    memory.run(1)
    const answers = memory.guest.takeAll()
    expect(answers.length).toBeGreaterThan(10)
    expect(answers.length).toBeLessThanOrEqual(60)
    expect(answers.every(({ tcp }) => tcp === undefined)).toBe(true)
    expectNothingLeft(memory)
  })

  test("leaves from the guest's port where a program has chosen that, to all correspondents", () => {
    const memory = bench()
    const other = memory.sockets.world.listen(81)
    for (const port of [PORT, 81]) scripted(memory, { target, port, sourcePort: 700 }).connect()
    expect([memory.listener.connection.hostPort, other.connection.hostPort]).toEqual([700, 700])
    scripted(memory, { target, sourcePort: 40_000 }).connect()
    expect(memory.listener.connections[1].hostPort).not.toBe(40_000)
  })

  test("leaves from another port where the host doesn't have the guest's to give", () => {
    const memory = bench()
    for (const source of isV4 ? ["192.0.2.2", "192.0.2.3"] : ["2001:db8::2", "2001:db8::3"]) {
      scripted(memory, { target, source, sourcePort: 700 }).connect()
    }
    const [first, second] = memory.listener.connections.map(({ hostPort }) => hostPort)
    expect(first).toBe(700)
    expect(second).not.toBe(700)
  })

  test("is reset, and counted, while the host has no descriptor left; the guest's next attempt gets its chance", () => {
    const memory = bench({ sockets: { descriptors: 1 } })
    const first = scripted(memory, { target })
    first.connect()
    const second = scripted(memory, { target, sourcePort: 40_001, sequence: 1 })
    second.send("S")
    second.expect(check.tcp({ flags: "RA", sequence: 0, acknowledgement: 2 }))
    expect(memory.drops.get("tcp: no socket")).toBe(1)
    expect(memory.flows.size).toBe(1)
    first.send("R")
    second.send("S", "", { sequence: 1 })
    second.expect(check.tcp({ flags: "SA", acknowledgement: 2 }))
  })

  test("has the socket that another protocol gives up, where there is none left", () => {
    const memory = bench({ sockets: { descriptors: 1 } })
    const held = memory.sockets.udpOpen(NO_SIDE, Demiflow.of(Interface.host, UNSPECIFIED_V4, 0, LOOPBACK_V4, 9))
    const giveWay = () => {
      memory.sockets.close(held)
      return true
    }
    memory.stack.register(() => ({ name: "holder", claims: [], fromGuest: () => NOT_MINE, giveWay }))
    scripted(memory, { target }).connect()
    expect(memory.drops.total).toBe(0)
  })

  test("is reset, and counted, while the flow table is full", () => {
    const memory = bench({ capacity: 1 })
    const first = scripted(memory, { target })
    first.connect()
    const second = scripted(memory, { target, sourcePort: 40_001 })
    second.send("S")
    second.expect(check.tcp({ flags: "RA", sequence: 0 }))
    expect(memory.drops.get("flow: table full")).toBe(1)
    expect(memory.sockets.openSockets).toBe(1)
    first.send("R")
    memory.run()
    second.send("S", "", { sequence: 5 })
    second.expect(check.tcp({ flags: "SA", acknowledgement: 6 }))
  })
})

describe("other outcomes of the host's connect", () => {
  const outcomes: [string, number, "reset" | "administratively prohibited"][] = [
    ["ECONNREFUSED", Errno.ECONNREFUSED, "reset"],
    ["EACCES", Errno.EACCES, "administratively prohibited"],
    ["EPERM", Errno.EPERM, "administratively prohibited"],
    ["EADDRNOTAVAIL", Errno.EADDRNOTAVAIL, "administratively prohibited"],
    ["ENODEV", Errno.ENODEV, "administratively prohibited"],
    ["ENFILE", Errno.ENFILE, "reset"],
    ["ENOBUFS", Errno.ENOBUFS, "reset"],
    ["ENOMEM", Errno.ENOMEM, "reset"],
    ["EINVAL", Errno.EINVAL, "reset"],
  ]

  test.each(outcomes)("%s at once", (_, errno, answer) => {
    const memory = bench()
    memory.sockets.tcpConnect = () => -errno as ReturnType<typeof memory.sockets.tcpConnect>
    const guest = scripted(memory)
    guest.send("S")
    memory.run()
    if (answer === "reset") guest.expect(check.tcp({ flags: "RA", sequence: 0, acknowledgement: guest.sequence }))
    else memory.guest.expect(check.icmp({ type: 3, code: 13 }))
    memory.guest.expectNothing()
    const isCounted = answer === "reset" && errno !== Errno.ECONNREFUSED
    expect(memory.drops.get("tcp: no socket")).toBe(isCounted ? 1 : 0)
    expectNothingLeft(memory)
  })
})

test("a SYN to what the policy keeps from the guest opens no socket, and is answered as a firewall does", () => {
  const memory = bench({ closedHost: { isOwn: (address) => String(address) === SERVER } })
  const guest = scripted(memory)
  guest.send("S")
  memory.guest.expect(
    check.ip({ source: SERVER }),
    check.icmp({ type: 3, code: 13 }),
    check.quote(check.ip({ target: SERVER }), check.tcp({ sequence: (guest.sequence - 1) | 0 })),
  )
  memory.guest.expectNothing()
  expect(memory.drops.entries()).toEqual([["forward: the host is closed to the guest", 1]])
  expect(memory.sockets.openSockets).toBe(0)
  expectNothingLeft(memory)
})

test("what becomes the host's own while the host connects is kept from the guest as well", () => {
  const own = new Set<string>()
  const memory = bench({ sockets: { rtt: 100 }, closedHost: { isOwn: (address) => own.has(String(address)) } })
  const guest = scripted(memory)
  guest.send("S")
  memory.run(10)
  own.add(SERVER)
  memory.run(200)
  memory.guest.expect(check.ip({ source: SERVER }), check.icmp({ type: 3, code: 13 }))
  memory.guest.expectNothing()
  expect(memory.drops.entries()).toEqual([["forward: the host is closed to the guest", 1]])
  expectNothingLeft(memory)
})

describe("a SYN in RFC 9293's state SYN-RECEIVED", () => {
  const begin = (target = SERVER) => {
    const memory = bench()
    const guest = scripted(memory, { target })
    guest.send("S")
    const answer = guest.expect(check.tcp({ flags: "SA" }))
    return { memory, guest, answer }
  }

  test("that comes again is answered again, with the same numbers", () => {
    const { memory, guest, answer } = begin()
    guest.send("S", "", { sequence: 1_000 })
    guest.expect(check.tcp({ flags: "SA", sequence: answer.tcp?.sequence ?? -1, acknowledgement: 1_001 }))
    guest.send("A")
    memory.guest.expectNothing()
    memory.listener.connection.write("hello")
    guest.expect(check.payload("hello"))
  })

  test("of ours is sent again after one second, two, four …, then the connection is over", () => {
    const { memory, guest } = begin()
    const times: number[] = []
    const start = memory.clock.now
    memory.guest.onFrame(({ tcp }) => {
      times.push(memory.clock.now - start)
      return tcp?.flags === "SA"
    })
    memory.run(200_000)
    expect([...new Set(times)]).toEqual([1_000, 3_000, 7_000, 15_000, 31_000, 63_000])
    guest.expectSome(check.tcp({ flags: "RA" }))
    expect(memory.listener.connection.isReset).toBe(true)
    expectNothingLeft(memory)
  })

  test("that comes again and again does not keep the connection half open", () => {
    const { memory, guest } = begin()
    for (let second = 0; second < 70; second++) {
      memory.run(1_000)
      if (second < 60) guest.send("S", "", { sequence: 1_000 })
    }
    expectNothingLeft(memory)
  })

  test("is acknowledged by payload as well", () => {
    const { memory, guest } = begin()
    guest.send("A", "GET /")
    memory.run(1)
    expect(memory.listener.connection.receivedText).toBe("GET /")
    guest.expect(check.tcp({ flags: "A", acknowledgement: guest.sequence }))
  })

  test("may be followed by a FIN at once", () => {
    const { memory, guest } = begin()
    guest.send("AF", "GET /")
    memory.run(1)
    expect(memory.listener.connection.receivedText).toBe("GET /")
    expect(memory.listener.connection.isEnded).toBe(true)
  })

  test.each([
    ["what was never sent", 1],
    ["what came before it", -1],
  ])("is not acknowledged by an acknowledgement of %s: that is refused", (_, off) => {
    const { memory, guest } = begin()
    const wrong = after(guest.acknowledgement, off)
    guest.send("A", "", { acknowledgement: wrong })
    memory.guest.expect(check.tcp({ flags: "R", sequence: wrong }))
    memory.guest.expectNothing()
    guest.send("A")
    memory.listener.connection.write("hello")
    guest.expect(check.payload("hello"))
  })

  test("ends by the guest's reset", () => {
    const { memory, guest } = begin()
    guest.send("R")
    memory.guest.expectNothing()
    expect(memory.listener.connection.isReset).toBe(true)
    expectNothingLeft(memory)
  })

  test("ends by the correspondent's reset", () => {
    const { memory, guest, answer } = begin()
    memory.listener.connection.reset()
    const sequence = after(answer.tcp?.sequence ?? 0, 1)
    guest.expectSome(check.tcp({ flags: "RA", sequence, acknowledgement: guest.sequence }))
    memory.run(1)
    expect(memory.flows.size).toBe(0)
  })
})

describe("while the host connects", () => {
  const begin = () => {
    const memory = bench({ sockets: { rtt: 100 } })
    const guest = scripted(memory)
    guest.send("S")
    memory.run(10)
    return { memory, guest }
  }

  test("the same SYN changes nothing", () => {
    const { memory, guest } = begin()
    guest.send("S", "", { sequence: 1_000 })
    memory.run(200)
    expect(memory.sockets.opened).toBe(1)
    expect(segments(memory)).toHaveLength(1)
  })

  test("another SYN between the same ends is another connection", () => {
    const { memory, guest } = begin()
    guest.sequence = 5_000_000
    guest.send("S")
    memory.run(200)
    expect(memory.sockets.opened).toBe(2)
    expect(memory.sockets.openSockets).toBe(1)
    guest.expect(check.tcp({ flags: "SA", acknowledgement: 5_000_001 }))
    memory.guest.expectNothing()
  })

  test("a reset ends it; one with another number does not", () => {
    const { memory, guest } = begin()
    guest.send("R", "", { sequence: 77 })
    memory.run()
    expect(memory.flows.size).toBe(1)
    guest.send("R")
    memory.run(1_000)
    memory.guest.expectNothing()
    expectNothingLeft(memory)
  })

  test("an acknowledgement is refused", () => {
    const { memory, guest } = begin()
    guest.send("A", "", { acknowledgement: 99 })
    guest.expect(check.tcp({ flags: "R", sequence: 99 }))
    memory.run(200)
    guest.expect(check.tcp({ flags: "SA" }))
  })
})

describe("initial sequence numbers", () => {
  test("differ between connections, and go up with time for the same one (RFC 6528)", () => {
    const memory = bench()
    const numberOf = (sourcePort: number) => {
      const guest = scripted(memory, { sourcePort })
      guest.send("S")
      const answer = guest.expect(check.tcp({ flags: "SA" }))
      guest.send("R")
      memory.run()
      return answer.tcp?.sequence ?? 0
    }
    const first = numberOf(1)
    expect(numberOf(2)).not.toBe(first)
    memory.run(10)
    // One number every 4 µs.
    expect((numberOf(1) - first) | 0).toBe(2_500)
  })
})
