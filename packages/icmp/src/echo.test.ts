import { Address, Demiflow, Errno, initiatingSide, NO_SIDE, SocketEvent, targetSide } from "@demiflow/core"
import { build, check, occupyFlows, patternBytes, RecordingLog, SimulatedSockets } from "@demiflow/testkit"
import { afterEach, describe, expect, test, vi } from "vitest"
import { families, icmpStack, ping } from "./test-support.ts"

describe.each(families)("echo over IPv$version", (family) => {
  const { version, guestAddress, otherAddress, server, reply } = family

  // RFC 5508 REQ-1 (reply), RFC 4443 4.2
  test("a reply has the request's identifier, sequence number and payload", () => {
    const { guest } = icmpStack()
    guest.send(...ping(family, 0x1234, 7), build.payload("how far is it?"))
    guest.expect(
      check.ip({ source: server, target: guestAddress }),
      check.icmp({ type: reply, code: 0, identifier: 0x1234, sequence: 7 }),
      check.payload("how far is it?"),
    )
    guest.expectNothing()
  })

  test("the first reply's packet is begun for who has asked, and for nobody else", () => {
    const memory = icmpStack()
    const begun: string[] = []
    const begin = memory.tap.begin.bind(memory.tap)
    memory.tap.begin = (demiflow, ...others) => {
      begun.push(String(demiflow.correspondentAddress))
      return begin(demiflow, ...others)
    }
    memory.guest.send(...ping(family, 0x1234, 7), build.payload("one"))
    memory.guest.expect(check.icmp({ type: reply, identifier: 0x1234 }), check.payload("one"))
    expect([...new Set(begun)]).toEqual([guestAddress])
  })

  // RFC 1122 3.2.2.6
  test("payloads of all sizes come back, the empty and the largest one included", () => {
    const { guest, drops } = icmpStack()
    for (const length of [0, 1, 56, 1472, 8000, 65_000, version === 4 ? 65_507 : 65_487]) {
      const payload = build.patternPayload(length)
      guest.send(...ping(family, 1, length), payload)
      guest.expect(
        check.icmp({ type: reply, sequence: length }),
        check.payload(payload.build(new Uint8Array(0), [], undefined)),
      )
    }
    expect(drops.total).toBe(0)
  })

  test("requests of one identifier share a socket", () => {
    const { guest, sockets, flows } = icmpStack()
    for (let sequence = 1; sequence <= 100; sequence++) guest.send(...ping(family, 5, sequence))
    const sequences = guest.takeAll().map(({ icmp }) => icmp?.sequence)
    expect(sequences).toEqual(Array.from({ length: 100 }, (_, index) => index + 1))
    expect(sockets.opened).toBe(1)
    expect(flows.size).toBe(1)
  })

  test("a flood of replies gives way to others after each budget, and is carried on with", () => {
    const memory = icmpStack({ sockets: { rtt: 10 } })
    for (let sequence = 0; sequence < 200; sequence++) memory.guest.send(...ping(family, 5, sequence))
    memory.run(1)
    const receive = memory.sockets.receiveFromAnyone.bind(memory.sockets)
    const callsInTurn: number[] = []
    let turn = -1
    const endTurn = memory.stack.endTurn.bind(memory.stack)
    memory.stack.endTurn = () => {
      turn++
      endTurn()
    }
    memory.sockets.receiveFromAnyone = (...parameters) => {
      callsInTurn[turn + 1] = (callsInTurn[turn + 1] ?? 0) + 1
      return receive(...parameters)
    }
    memory.run(20)
    expect(memory.guest.takeAll()).toHaveLength(200)
    // One drain for the event, and one for the wait.
    expect(Math.max(...callsInTurn.filter(Boolean))).toBeLessThanOrEqual(2 * 16)
  })

  test("replies stay with the host while the guest is congested, at no expense, and come once it isn't", () => {
    const memory = icmpStack()
    let isCongested = true
    Object.defineProperty(memory.tap, "isCongested", { get: () => isCongested })
    memory.guest.send(...ping(family, 5, 1))
    memory.guest.send(...ping(family, 6, 1))
    memory.run(100)
    memory.guest.expectNothing()
    // Only the expiry of the flows is due.
    expect(memory.stack.nextDeadline()).toBeGreaterThan(memory.clock.now + 10_000)
    isCongested = false
    memory.stack.resume()
    memory.stack.endTurn()
    expect(memory.guest.takeAll().map(({ icmp }) => icmp?.identifier)).toEqual([5, 6])
  })

  test("docs/addresses.md, point 1: two guest addresses with one identifier are two flows, each with its own replies", () => {
    const { guest, sockets } = icmpStack()
    guest.send(...ping(family, 9, 1))
    guest.send(...ping(family, 9, 2, { from: otherAddress }))
    guest.expect(check.ip({ target: guestAddress }), check.icmp({ identifier: 9, sequence: 1 }))
    guest.expect(check.ip({ target: otherAddress }), check.icmp({ identifier: 9, sequence: 2 }))
    expect(sockets.opened).toBe(2)
  })

  test("docs/addresses.md, point 2: a handler that gets the source address of packets replies to each source its own", () => {
    const { guest } = icmpStack()
    const sources = Array.from({ length: 20 }, (_, index) =>
      version === 4 ? `192.0.2.${100 + index}` : `2001:db8::${100 + index}`,
    )
    for (const from of sources) guest.send(...ping(family, 1, 1, { from }))
    expect(guest.takeAll().map(({ ip }) => `${ip?.target}`)).toEqual(sources)
  })

  test("docs/addresses.md, point 6: each flow tracks the guest's own address, whatever address was seen last", () => {
    const memory = icmpStack({ sockets: { rtt: 10 } })
    const { guest } = memory
    guest.send(...ping(family, 1, 1))
    memory.run(1)
    guest.send(...ping(family, 2, 2, { from: otherAddress }))
    memory.run(20)
    guest.expect(check.ip({ target: guestAddress }), check.icmp({ identifier: 1 }))
    guest.expect(check.ip({ target: otherAddress }), check.icmp({ identifier: 2 }))
  })

  test("docs/addresses.md, point 7: the demiflow that all protocols share has the identifier as both ports", () => {
    const memory = icmpStack()
    memory.guest.send(...ping(family, 0x4321, 1))
    memory.run()
    const tap = new Demiflow()
    const host = new Demiflow()
    memory.flows.forEach((flow) => {
      memory.flows.readSide(initiatingSide(flow), tap)
      memory.flows.readSide(targetSide(flow), host)
    })
    expect([tap.forwardingPort, tap.correspondentPort, host.forwardingPort]).toEqual([0x4321, 0x4321, 0x4321])
    expect(`${tap.correspondentAddress}`).toBe(guestAddress)
    expect(`${host.correspondentAddress}`).toBe(server)
  })

  test("the gateway answers where it stands for the host's loopback", () => {
    const { gateway, loopback } = family
    const hostLoopback = Address.parse(gateway)
    const memory = icmpStack({ rules: { v4: { hostLoopback }, v6: { hostLoopback } } })
    memory.guest.send(...ping(family, 1, 1, { to: gateway }))
    memory.guest.expect(check.ip({ source: gateway, target: guestAddress }), check.icmp({ type: reply }))
    const host = new Demiflow()
    memory.flows.forEach((flow) => {
      memory.flows.readSide(targetSide(flow), host)
    })
    expect(`${host.correspondentAddress}`).toBe(loopback)
  })

  // RFC 5508 REQ-2
  test("flows end 60 s after their last message, and leave nothing behind", () => {
    const memory = icmpStack()
    memory.guest.send(...ping(family, 1, 1))
    memory.run(50_000)
    memory.guest.send(...ping(family, 1, 2))
    memory.run(59_999)
    expect(memory.flows.size).toBe(1)
    memory.run(1)
    expect(memory.leftovers()).toEqual([])
    memory.guest.takeAll()
    memory.guest.send(...ping(family, 1, 3))
    memory.guest.expect(check.icmp({ type: reply, identifier: 1, sequence: 3 }))
  })

  test("flows end sooner if the options say so", () => {
    const memory = icmpStack({}, { timeout: 5 })
    memory.guest.send(...ping(family, 1, 1))
    memory.run(5)
    expect(memory.leftovers()).toEqual([])
  })

  test("all flows end at once when the stack goes down", () => {
    const memory = icmpStack()
    for (let identifier = 0; identifier < 50; identifier++) memory.guest.send(...ping(family, identifier, 1))
    memory.run()
    expect(memory.sockets.openSockets).toBe(50)
    memory.stack.abortFlows()
    expect(memory.leftovers()).toEqual([])
  })

  test("a full table refuses further flows, each request counted once", () => {
    const { guest, drops, flows, sockets } = icmpStack({ capacity: 8 })
    // Of another protocol: pings have a quarter of it at most.
    occupyFlows(flows, 0, 8)
    for (let identifier = 0; identifier < 4; identifier++) guest.send(...ping(family, identifier, 1))
    expect(guest.takeAll()).toHaveLength(0)
    expect(sockets.openSockets).toBe(0)
    expect(drops.entries()).toEqual([["flow: table full", 4]])
  })

  test("what comes from the host and is no reply is dropped, and the replies around it are not", () => {
    const memory = icmpStack({ sockets: { rtt: 10 } })
    const { guest, sockets, drops, arena } = memory
    for (const sequence of [1, 2, 3]) guest.send(...ping(family, 1, sequence))
    memory.run(5)
    const receive = sockets.receiveFromAnyone.bind(sockets)
    let seen = 0
    sockets.receiveFromAnyone = (socket, batch, ends, count) => {
      const received = receive(socket, batch, ends, count)
      for (let index = 0; index < received; index++) {
        if (seen === 0) arena.view.setUint8(batch.offset[index], family.request)
        if (seen === 2) batch.length[index] = 65_516
        seen++
      }
      return received
    }
    memory.run(20)
    expect(guest.takeAll().map(({ icmp }) => icmp?.sequence)).toEqual([2])
    expect(drops.entries()).toEqual([["icmp: bad reply", 2]])
    expect(memory.sockets.violations).toEqual([])
  })

  test("a reply of anybody else than the one that was asked is dropped, and keeps no flow alive", () => {
    const memory = icmpStack({ sockets: { rtt: 10 } })
    const { guest, sockets, drops } = memory
    for (const sequence of [1, 2, 3]) guest.send(...ping(family, 1, sequence))
    memory.run(5)
    const receive = sockets.receiveFromAnyone.bind(sockets)
    let seen = 0
    sockets.receiveFromAnyone = (socket, batch, ends, count) => {
      const received = receive(socket, batch, ends, count)
      for (let index = 0; index < received; index++) {
        if (seen++ !== 1) ends[index].correspondentAddress.copyFrom(Address.parse(family.otherAddress))
      }
      return received
    }
    memory.run(20)
    expect(guest.takeAll().map(({ icmp }) => icmp?.sequence)).toEqual([2])
    expect(drops.entries()).toEqual([["icmp: reply from an address that the guest has not asked", 2]])
    expect(memory.sockets.violations).toEqual([])
  })

  // RFC 4007 6
  test("a reply of who has the asked address on another link is dropped", () => {
    const memory = icmpStack({ sockets: { rtt: 10 } })
    const { guest, sockets, drops } = memory
    for (const sequence of [1, 2]) guest.send(...ping(family, 1, sequence))
    memory.run(5)
    const receive = sockets.receiveFromAnyone.bind(sockets)
    let seen = 0
    sockets.receiveFromAnyone = (socket, batch, ends, count) => {
      const received = receive(socket, batch, ends, count)
      for (let index = 0; index < received; index++) batch.scope[index] = seen++ === 0 ? 7 : 0
      return received
    }
    memory.run(20)
    expect(guest.takeAll().map(({ icmp }) => icmp?.sequence)).toEqual([2])
    expect(drops.entries()).toEqual([["icmp: reply from an address that the guest has not asked", 1]])
  })

  test("spurious events and events of ended flows do no harm", () => {
    const memory = icmpStack()
    memory.guest.send(...ping(family, 1, 1))
    memory.guest.takeAll()
    const all = SocketEvent.readable | SocketEvent.writable | SocketEvent.error | SocketEvent.hangUp
    memory.flows.forEach((flow) => {
      const side = targetSide(flow)
      memory.stack.fromHost(side, all)
      memory.stack.abortFlows()
      memory.stack.fromHost(side, all)
    })
    memory.guest.expectNothing()
    expect(memory.leftovers()).toEqual([])
  })

  test("a send buffer that is full costs the request, which is counted", () => {
    const { guest, drops } = icmpStack({ sockets: { faults: { partialSend: 1 } } })
    guest.send(...ping(family, 1, 1))
    guest.expectNothing()
    expect(drops.entries()).toEqual([["icmp: host's queue full", 1]])
  })

  test("a pending error of an earlier request costs this one nothing", () => {
    const { guest, sockets, drops } = icmpStack()
    guest.send(...ping(family, 1, 1))
    guest.takeAll()
    const send = sockets.sendDatagramsTo.bind(sockets)
    let isPending = true
    sockets.sendDatagramsTo = (...parameters) => {
      if (!isPending) return send(...parameters)
      isPending = false
      return -Errno.EHOSTUNREACH
    }
    guest.send(...ping(family, 1, 2))
    guest.expect(check.icmp({ type: reply, sequence: 2 }))
    guest.expectNothing()
    expect(drops.total).toBe(0)
  })

  test("without sockets requests are dropped, with one warning a minute", () => {
    const log = new RecordingLog()
    const memory = icmpStack({ sockets: { descriptors: 0 }, log })
    for (let identifier = 0; identifier < 5; identifier++) memory.guest.send(...ping(family, identifier, 1))
    memory.run(30_000)
    expect(log.messages("warning")).toHaveLength(1)
    memory.run(30_000)
    memory.guest.send(...ping(family, 1, 1))
    memory.guest.expectNothing()
    expect(log.messages("warning")).toHaveLength(2)
    expect(memory.drops.entries()).toEqual([["icmp: no socket left", 6]])
    expect(memory.leftovers()).toEqual([])
  })
})

describe("where the host forbids ping sockets", () => {
  afterEach(() => {
    vi.restoreAllMocks()
  })

  test("that is said once, at start, and requests are counted", () => {
    const log = new RecordingLog()
    const memory = icmpStack({ sockets: { forbidsPing: true }, log })
    for (const family of families) {
      memory.guest.send(...ping(family, 1, 1))
      memory.guest.send(...ping(family, 1, 2))
    }
    memory.guest.expectNothing()
    expect(log.messages("warning")).toHaveLength(1)
    expect(log.messages("warning")[0]).toContain("net.ipv4.ping_group_range")
    expect(memory.drops.entries()).toEqual([["icmp: ping sockets forbidden", 4]])
    expect(memory.leftovers()).toEqual([])
  })

  test.each(families)("we answer for its loopback, and nothing is dropped, over IPv$version", (family) => {
    const { version, gateway, guestAddress, reply } = family
    const rules = { [`v${version}`]: { hostLoopback: Address.parse(gateway) } }
    const memory = icmpStack({ sockets: { forbidsPing: true }, rules })
    memory.guest.send(...ping(family, 1, 7, { to: gateway }), build.patternPayload(100))
    memory.guest.expect(
      check.ip({ source: gateway, target: guestAddress }),
      check.icmp({ type: reply, identifier: 1, sequence: 7 }),
      check.payload(patternBytes(100)),
    )
    expect([memory.drops.total, memory.leftovers()]).toEqual([0, []])
  })

  test("the permission is noticed when it comes, and not asked for more than once a second", () => {
    const log = new RecordingLog()
    const pingBind = vi.spyOn(SimulatedSockets.prototype, "pingBind")
    const memory = icmpStack({ sockets: { forbidsPing: true }, log })
    // At the start, one for each version of IP.
    expect(pingBind).toHaveBeenCalledTimes(2)
    for (const family of families) {
      for (let sequence = 1; sequence <= 20; sequence++) memory.guest.send(...ping(family, 1, sequence))
    }
    memory.guest.expectNothing()
    expect(pingBind).toHaveBeenCalledTimes(2)
    memory.run(1_000)
    memory.guest.send(...ping(families[0]!, 1, 21))
    memory.guest.expectNothing()
    expect(pingBind).toHaveBeenCalledTimes(4)
    memory.sockets.forbidsPing = false
    memory.guest.send(...ping(families[0]!, 1, 22))
    memory.guest.expectNothing()
    expect(pingBind).toHaveBeenCalledTimes(4)
    memory.run(1_000)
    for (const family of families) memory.guest.send(...ping(family, 1, 23))
    for (const { reply } of families) memory.guest.expect(check.icmp({ type: reply, sequence: 23 }))
    memory.guest.expectNothing()
    expect(memory.drops.entries()).toEqual([["icmp: ping sockets forbidden", 42]])
    expect([log.messages("warning").length, log.messages("info").length]).toEqual([1, 1])
    expect(memory.sockets.openSockets).toBe(2)
  })

  test("nothing is said where it allows them, and the sockets that found it out are closed", () => {
    const log = new RecordingLog()
    const pingBind = vi.spyOn(SimulatedSockets.prototype, "pingBind")
    const memory = icmpStack({ log })
    memory.run()
    expect(pingBind.mock.calls.map(([side]) => side)).toEqual([NO_SIDE, NO_SIDE])
    expect(log.messages("warning")).toEqual([])
    expect(memory.leftovers()).toEqual([])
  })
})
