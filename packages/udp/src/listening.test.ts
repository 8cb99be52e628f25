import { Address, Errno, ErrorOrigin, SocketEvent } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { Bench, type BenchOptions, datagramsOf, icmpErrors, pattern } from "./test-support/bench.ts"
import { families } from "./test-support/families.ts"

const payload = pattern(12)

describe.each(Object.entries(families))("flows from the host over %s", (name, { guest, other, server, router }) => {
  const isV4 = name === "IPv4"
  const own = isV4 ? "192.0.2.1" : "2001:db8::1"
  const gateway = isV4 ? "192.0.2.254" : "2001:db8::fe"
  const loopback = isV4 ? "127.0.0.1" : "::1"
  const loopbackRules = {
    v4: { hostLoopback: Address.parse(gateway) },
    v6: { hostLoopback: Address.parse(gateway) },
  }
  const end = (address: string, port: number) => (isV4 ? `${address}:${port}` : `[${address}]:${port}`)

  function listening(options: BenchOptions = {}, port = 5000, targetPort = 53) {
    const bench = new Bench(options)
    const listener = bench.listen(port, targetPort)
    return {
      bench,
      listener,
      arrive: (...payloads: Uint8Array[]) => bench.fromAnyone(listener, server, 1234, own, ...payloads),
      answer: (...payloads: Uint8Array[]) =>
        bench.fromGuest(guest, 53, server, 1234, ...payloads.map((bytes) => ({ payload: bytes }))),
    }
  }

  const toGuest = (bench: Bench) => bench.guest.datagrams.map(({ tap, payload: bytes }) => [`${tap}`, bytes.length])

  test("a datagram opens no other socket, and comes to the guest's port", () => {
    const { bench, listener, arrive } = listening()
    arrive(payload)
    expect(bench.sockets.opened).toHaveLength(1)
    expect(toGuest(bench)).toEqual([[`tap ${end(server, 1234)} → ${end(guest, 53)}`, 12]])
    expect(bench.guest.datagrams[0].payload).toEqual(payload)
    expect(bench.flows.size).toBe(1)
    expect(listener.receivingCalls).toHaveLength(1)
    expect(bench.drops.total).toBe(0)
  })

  test("those of one sender are one flow, those of others are others", () => {
    const { bench, listener } = listening()
    bench.sockets.sockets[0].incoming.push(
      ...datagramsOf(listener, server, 1, own, pattern(1)),
      ...datagramsOf(listener, server, 2, own, pattern(2)),
      ...datagramsOf(listener, router, 1, own, pattern(3)),
      ...datagramsOf(listener, server, 1, own, pattern(4)),
    )
    bench.listenerEvent(listener)
    expect(toGuest(bench)).toEqual([
      [`tap ${end(server, 1)} → ${end(guest, 53)}`, 1],
      [`tap ${end(server, 2)} → ${end(guest, 53)}`, 2],
      [`tap ${end(router, 1)} → ${end(guest, 53)}`, 3],
      [`tap ${end(server, 1)} → ${end(guest, 53)}`, 4],
    ])
    expect(bench.flows.size).toBe(3)
  })

  test("the guest's answers leave by the listening socket, from where the sender wrote to; what follows is the same flow", () => {
    const { bench, arrive, answer } = listening()
    arrive(payload)
    answer(pattern(3))
    expect(bench.flows.size).toBe(1)
    expect(bench.sockets.opened).toHaveLength(1)
    expect(bench.socket.datagrams).toEqual([pattern(3)])
    expect(bench.socket.sent.map(({ to }) => `${to}`)).toEqual([`host ${end(own, 5000)} → ${end(server, 1234)}`])
    arrive(pattern(7))
    expect(toGuest(bench).at(-1)).toEqual([`tap ${end(server, 1234)} → ${end(guest, 53)}`, 7])
  })

  test("the address last seen only begins a flow, which then keeps its own", () => {
    const { bench, listener, arrive } = listening()
    arrive(payload)
    const lastSeen = isV4 ? bench.guest.lastSeenV4 : bench.guest.lastSeenV6
    lastSeen.copyFrom(Address.parse(other))
    arrive(pattern(1))
    bench.fromAnyone(listener, router, 9, own, pattern(2))
    expect(bench.guest.datagrams.map(({ tap }) => `${tap.correspondentAddress}`)).toEqual([guest, guest, other])
  })

  test("leads to the address that was asked, where the guest has it", () => {
    const { bench, listener, arrive } = listening()
    bench.guest.addresses.add(other)
    bench.fromAnyone(listener, server, 1234, other, pattern(1))
    arrive(pattern(2))
    expect(bench.guest.datagrams.map(({ tap }) => `${tap.correspondentAddress}`)).toEqual([other, guest])
    // Each answer leaves from the address that its question went to.
    bench.fromGuest(guest, 53, server, 1234, { payload: pattern(3) })
    bench.fromGuest(other, 53, server, 1234, { payload: pattern(4) })
    expect(listener.sent.map(({ to }) => `${to.forwardingAddress}`)).toEqual([own, other])
    expect(bench.flows.size).toBe(2)
  })

  test("a listener may lead to an address of its own", () => {
    const bench = new Bench()
    bench.fromAnyone(bench.listen(5000, 53, {}, other), server, 1234, own, payload)
    expect(toGuest(bench)).toEqual([[`tap ${end(server, 1234)} → ${end(other, 53)}`, 12]])
  })

  test("what several senders send while their flows begin stays in order", () => {
    const { bench, listener } = listening({ capacity: 256 })
    const senders = Array.from({ length: 20 }, (_, index) => 1000 + index)
    for (let round = 0; round < 15; round++) {
      for (const port of senders) listener.incoming.push(...datagramsOf(listener, server, port, own, pattern(round)))
    }
    bench.listenerEvent(listener)
    bench.advance(0)
    for (const port of senders) {
      const lengths = bench.guest.datagrams.filter(({ tap }) => tap.forwardingPort === port)
      expect(lengths.map(({ payload: bytes }) => bytes.length)).toEqual(Array.from({ length: 15 }, (_, round) => round))
    }
    expect(bench.sockets.opened).toHaveLength(1)
  })

  test("a flow that ends leaves nothing to the next one", () => {
    const { bench, arrive } = listening()
    arrive(payload)
    bench.stack.abortFlows()
    bench.fromGuest(guest, 40_000, router, 53, { payload })
    bench.fromHost(bench.socket, pattern(3))
    expect(toGuest(bench).at(-1)).toEqual([`tap ${end(router, 53)} → ${end(guest, 40_000)}`, 3])
  })

  test("ends 120 s after the last datagram that the guest did not answer, 180 s after the last otherwise", () => {
    const { bench, arrive, answer } = listening()
    arrive(payload)
    bench.advance(20_000)
    arrive(payload)
    bench.advance(119_999)
    expect(bench.flows.size).toBe(1)
    bench.advance(1)
    expect(bench.flows.size).toBe(0)
    expect(bench.sockets.openSockets).toBe(1)
    arrive(payload)
    answer(payload)
    bench.advance(179_999)
    expect(bench.flows.size).toBe(1)
    bench.advance(1)
    expect(bench.flows.size).toBe(0)
    arrive(pattern(5))
    expect(toGuest(bench).at(-1)?.[1]).toBe(5)
  })

  test("what the guest sends is no answer if it is broken", () => {
    const { bench, arrive } = listening()
    arrive(payload)
    bench.advance(20_000)
    bench.fromGuest(guest, 53, server, 1234, { payload, hopLimit: 0 })
    bench.advance(100_000)
    expect(bench.flows.size).toBe(0)
  })

  test("flows end with their listener, whose port is free then", () => {
    const { bench, listener, arrive } = listening()
    arrive(payload)
    expect(bench.flows.size).toBe(1)
    bench.stack.unlisten(0 as never)
    expect([listener.isOpen, bench.flows.size, bench.sockets.openSockets]).toEqual([false, 0, 0])
    bench.event(listener, SocketEvent.readable)
    expect(bench.drops.total).toBe(0)
  })

  test("a port is listened at although flows of the guest's own have it", () => {
    const bench = new Bench()
    bench.fromGuest(guest, 5001, server, 53, { payload })
    bench.sockets.openingAnswers.push(-Errno.EADDRINUSE)
    const next = bench.listen(5001)
    bench.fromAnyone(next, server, 1234, own, pattern(3))
    bench.fromGuest(guest, 5001, server, 53, { payload: pattern(4) })
    expect(next.datagrams).toEqual([pattern(4)])
    expect(bench.sockets.openSockets).toBe(1)
    expect(bench.drops.total).toBe(0)
  })

  test("what is reported about an answer comes to the guest, quoting its own datagram", () => {
    const bench = new Bench({ rules: loopbackRules })
    bench.fromAnyone(bench.listen(5000, 53), loopback, 1234, loopback, payload)
    bench.fromGuest(guest, 53, gateway, 1234, { payload: pattern(9) })
    const [icmpType, icmpCode] = isV4 ? [3, 3] : [1, 4]
    bench.socket.errors.push({
      errno: Errno.ECONNREFUSED,
      origin: isV4 ? ErrorOrigin.icmp : ErrorOrigin.icmpv6,
      icmpType,
      icmpCode,
      reporter: loopback,
      source: loopback,
      payload: pattern(9),
      destination: { address: loopback, port: 1234 },
    })
    bench.stack.fromListener(0 as never, SocketEvent.error)
    const [error] = icmpErrors(bench.guest)
    expect(error).toMatchObject({
      type: icmpType,
      code: icmpCode,
      reporter: gateway,
      target: guest,
      quotedSource: guest,
      quotedTarget: gateway,
    })
    expect([...error.quoted.subarray(0, 6)]).toEqual([0, 53, 1234 >> 8, 1234 & 255, 0, 17])
    expect(error.quoted.subarray(8)).toEqual(pattern(9))
  })

  test("a sender that is the same to the guest as another one gets another port there", () => {
    const bench = new Bench({ rules: loopbackRules })
    const first = bench.listen(5000, 53)
    bench.fromAnyone(first, loopback, 1234, loopback, pattern(1))
    const second = bench.listen(6000, 53)
    bench.fromAnyone(second, loopback, 1234, loopback, pattern(2))
    const [one, two] = bench.guest.datagrams.map(({ tap }) => tap)
    expect(`${one}`).toBe(`tap ${end(gateway, 1234)} → ${end(guest, 53)}`)
    expect(`${two.forwardingAddress}`).toBe(gateway)
    expect(two.forwardingPort).toBeGreaterThanOrEqual(49_152)
    bench.fromGuest(guest, 53, gateway, two.forwardingPort, { payload: pattern(22) })
    bench.fromGuest(guest, 53, gateway, 1234, { payload: pattern(11) })
    expect(bench.sockets.sockets.map(({ datagrams }) => datagrams)).toEqual([[pattern(11)], [pattern(22)]])
  })

  test("nobody gets another port if all that are tried are taken", () => {
    const bench = new Bench({ rules: loopbackRules, randomNumbers: () => 0 })
    for (const port of [5000, 5001, 5002]) {
      bench.fromAnyone(bench.listen(port, 53), loopback, 1234, loopback, pattern(1))
    }
    expect(bench.guest.datagrams.map(({ tap }) => tap.forwardingPort)).toEqual([1234, 49_152])
    expect(bench.drops.entries()).toEqual([["udp: no port left to show the guest", 1]])
  })

  test("a sender to which the guest wrote before is known to it by another port, if that was from elsewhere", () => {
    const bench = new Bench()
    bench.fromGuest(guest, 53, server, 1234, { payload })
    const flow = bench.socket
    bench.fromAnyone(bench.listen(5000, 53), server, 1234, own, pattern(3))
    expect(toGuest(bench)[0][1]).toBe(3)
    expect(bench.guest.datagrams[0].tap.forwardingPort).toBeGreaterThanOrEqual(49_152)
    bench.fromHost(flow, pattern(4))
    expect(bench.guest.datagrams[1].tap.forwardingPort).toBe(1234)
  })

  describe("begun by the guest, at a port that a listener leads to", () => {
    test("have the listener's port, and hear what their correspondent sends there", () => {
      const bench = new Bench()
      const listener = bench.listen(5000)
      bench.fromGuest(guest, 5000, server, 1234, { payload: pattern(5) })
      expect(bench.sockets.opened).toHaveLength(1)
      expect(listener.datagrams).toEqual([pattern(5)])
      bench.fromAnyone(listener, router, 9, own, pattern(1))
      bench.fromAnyone(listener, server, 1234, own, pattern(2))
      expect(toGuest(bench)).toEqual([
        [`tap ${end(router, 9)} → ${end(guest, 5000)}`, 1],
        [`tap ${end(server, 1234)} → ${end(guest, 5000)}`, 2],
      ])
      expect(bench.flows.size).toBe(2)
    })

    test("have another one if that leads elsewhere", () => {
      const bench = new Bench()
      bench.listen(5000, 53)
      bench.listen(5001, 5001, {}, other)
      bench.listen(5002, 5002, { address: Address.parse(isV4 ? "::" : "0.0.0.0") })
      for (const port of [5000, 5001, 5002]) bench.fromGuest(guest, port, server, 1234, { payload })
      expect(bench.flows.size).toBe(3)
      expect(bench.sockets.sockets.map(({ sent }) => sent.length)).toEqual([0, 0, 0, 1, 1, 1])
    })

    test("answer from where they were asked, whichever of its addresses the guest answers from", () => {
      const bench = new Bench()
      const listener = bench.listen(5000, 53)
      bench.fromAnyone(listener, server, 1234, own, payload)
      bench.fromGuest(other, 53, server, 1234, { payload })
      expect(bench.flows.size).toBe(2)
      expect(bench.sockets.opened).toHaveLength(1)
      expect(listener.sent.map(({ to }) => `${to}`)).toEqual([`host ${end(own, 5000)} → ${end(server, 1234)}`])
      bench.fromAnyone(listener, server, 1234, own, pattern(1))
      expect(bench.guest.datagrams.map(({ tap }) => `${tap.correspondentAddress}`)).toEqual([guest, guest])
      // The question counts as answered.
      bench.advance(179_000)
      expect(bench.flows.size).toBe(2)
      bench.advance(1_000)
      expect(bench.flows.size).toBe(0)
    })

    test("answer a client that the guest knows by another name", () => {
      const bench = new Bench({ rules: loopbackRules })
      const listener = bench.listen(5000, 53)
      bench.fromAnyone(listener, loopback, 1234, loopback, payload)
      bench.fromAnyone(listener, gateway, 1234, own, payload)
      bench.fromGuest(other, 53, gateway, 1234, { payload: pattern(3) })
      expect(listener.sent.map(({ to }) => `${to}`)).toEqual([`host ${end(loopback, 5000)} → ${end(loopback, 1234)}`])
    })
  })

  test("port 0, groups, other versions and addresses that mean nothing to the guest begin nothing", () => {
    const bench = new Bench({ rules: isV4 ? { v4: {} } : { v6: {} } })
    const listener = bench.listen(5000)
    bench.fromAnyone(listener, server, 0, own, payload)
    bench.fromAnyone(listener, isV4 ? "224.0.0.1" : "ff02::1", 5, own, payload)
    bench.fromAnyone(listener, isV4 ? "0.0.0.0" : "::", 5, own, payload)
    bench.fromAnyone(listener, isV4 ? "2001:db8::5" : "192.0.2.5", 5, own, payload)
    bench.fromAnyone(listener, loopback, 5, loopback, payload)
    expect(bench.flows.size).toBe(0)
    expect(bench.drops.entries().sort()).toEqual([
      ["forward: IP version disabled", 1],
      ["forward: not a unicast address", 2],
      ["forward: source address that the guest can't answer", 1],
      ["udp: port 0", 1],
    ])
  })

  test("nothing is begun for a guest that nobody has seen", () => {
    const { bench, arrive } = listening()
    for (const address of [bench.guest.lastSeenV4, bench.guest.lastSeenV6]) address.copyFrom(Address.parse("0.0.0.0"))
    arrive(payload)
    expect(bench.drops.entries()).toEqual([["forward: no address of the guest", 1]])
  })

  test("a listener that can't be opened says why", () => {
    const bench = new Bench()
    bench.sockets.openingAnswers.push(-Errno.EADDRINUSE)
    expect(() => bench.listen(5000)).toThrow(`${-Errno.EADDRINUSE}`)
    expect(bench.sockets.openSockets).toBe(0)
  })

  test("the guest's own flows need a socket each port, and are refused without, where no sender holds one", () => {
    const { bench, arrive } = listening()
    arrive(payload)
    bench.sockets.openingAnswers.push(-Errno.EMFILE)
    bench.fromGuest(guest, 40_000, router, 53, { payload })
    expect(bench.flows.size).toBe(1)
    expect(bench.drops.entries()).toEqual([["udp: no socket left", 1]])
    expect(bench.warnings).toHaveLength(1)
  })

  test("a flood of senders ends none of the flows that the guest has answered, and takes a quarter of the table", () => {
    const { bench, listener, answer } = listening({ capacity: 64 })
    bench.fromAnyone(listener, server, 1234, own, payload)
    answer(payload)
    for (let sender = 2000; sender < 2500; sender++) bench.fromAnyone(listener, router, sender, own, payload)
    expect(bench.flows.size).toBe(17)
    expect(bench.sockets.openSockets).toBe(1)
    bench.fromAnyone(listener, server, 1234, own, pattern(5))
    expect(bench.guest.datagrams).toHaveLength(502)
    bench.advance(120_000)
    expect(bench.flows.size).toBe(1)
    bench.advance(180_000)
    expect(bench.flows.size).toBe(0)
    expect(bench.sockets.openSockets).toBe(1)
  })

  test("a full table is counted", () => {
    const { bench, listener } = listening({ capacity: 2 })
    for (const port of [1, 2]) bench.fromGuest(guest, port, server, 9, { payload })
    bench.fromAnyone(listener, server, 1234, own, payload, payload)
    expect(bench.drops.entries()).toEqual([["flow: table full", 2]])
  })

  test("a flood at a listener gives way to others after each budget, and is carried on with", () => {
    const { bench, listener } = listening()
    const many = Array.from({ length: 300 }, (_, index) => pattern(10, index))
    listener.incoming.push(...datagramsOf(listener, server, 1234, own, ...many))
    bench.stack.fromListener(0 as never, SocketEvent.readable)
    bench.stack.endTurn()
    expect(bench.guest.datagrams.length).toBeGreaterThan(40)
    expect(bench.guest.datagrams.length).toBeLessThan(200)
    expect(bench.stack.nextDeadline()).toBe(bench.clock.now)
    bench.advance(0)
    expect(bench.guest.datagrams.map(({ payload: bytes }) => bytes)).toEqual(many)
  })

  test("datagrams that the host has together are left to the guest's side to cut, and what was cut off is dropped", () => {
    const { bench, listener } = listening()
    const [whole, cutOff] = datagramsOf(listener, server, 1234, own, pattern(2500), pattern(65_508))
    listener.incoming.push({ ...whole, segmentSize: 1000 }, cutOff)
    bench.listenerEvent(listener)
    expect(bench.guest.sent.map(({ bytes, segmentSize }) => [bytes.length, segmentSize])).toEqual([[2508, 1000]])
    expect(bench.drops.entries()).toEqual([["udp: too large for the guest", 1]])
    expect(bench.guest.openPackets).toBe(0)
  })

  test("a listener that reports nothing but errors does not hold up the turn", () => {
    const { bench, listener, arrive } = listening()
    listener.receivingAnswers.push(...Array.from({ length: 100 }, () => -Errno.ENETDOWN))
    listener.incoming.push(...datagramsOf(listener, server, 1, own, payload))
    bench.stack.fromListener(0 as never, SocketEvent.readable)
    expect(listener.receivingAnswers.length).toBeGreaterThan(50)
    bench.advance(0)
    expect(bench.guest.datagrams).toHaveLength(1)
    arrive(payload)
    expect(bench.guest.datagrams).toHaveLength(2)
  })
})
