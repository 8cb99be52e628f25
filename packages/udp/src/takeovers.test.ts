/** Listening at ports that flows of the guest use. */
import { Address, Errno, ErrorOrigin } from "@demiflow/core"
import { SharedPort } from "@demiflow/protocol-kit"
import { afterEach, describe, expect, test, vi } from "vitest"
import { Bench, datagramsOf, icmpErrors, pattern } from "./test-support/bench.ts"
import { families } from "./test-support/families.ts"

const payload = pattern(12)
const { EADDRINUSE, ECONNREFUSED, EMFILE } = Errno

afterEach(() => vi.restoreAllMocks())

describe.each(Object.entries(families))("%s flows of the guest's own", (name, { guest, other, server, router }) => {
  const isV4 = name === "IPv4"
  const own = isV4 ? "192.0.2.1" : "2001:db8::1"

  const begun = () => {
    const bench = new Bench()
    bench.fromGuest(guest, 5000, server, 3000, { payload })
    return { bench, port: bench.socket }
  }
  const senders = (bench: Bench) =>
    bench.guest.datagrams.map(({ tap }) => `${tap.forwardingAddress} ${tap.forwardingPort} ${tap.correspondentPort}`)

  test("go on at the port that is listened at, in both directions", () => {
    const { bench, port } = begun()
    const listener = bench.listen(5000, 6000)
    expect([port.isOpen, bench.sockets.openSockets, bench.flows.size]).toEqual([false, 1, 1])
    bench.fromAnyone(listener, server, 3000, own, pattern(1))
    bench.fromAnyone(listener, router, 3000, own, pattern(2))
    expect(senders(bench)).toEqual([`${server} 3000 5000`, `${router} 3000 6000`])
    bench.fromGuest(guest, 5000, server, 3000, { payload: pattern(3) })
    expect(listener.datagrams).toEqual([pattern(3)])
    bench.stack.unlisten(0 as never)
    bench.advance(0)
    expect([bench.flows.size, bench.sockets.openSockets, bench.drops.total]).toEqual([0, 0, 0])
  })

  test("have lost nothing of what had arrived before, nor reports", () => {
    const { bench, port } = begun()
    port.incoming.push(
      ...datagramsOf(port, server, 3000, own, pattern(1)),
      ...datagramsOf(port, router, 9, own, payload),
    )
    port.errors.push({
      errno: ECONNREFUSED,
      origin: isV4 ? ErrorOrigin.icmp : ErrorOrigin.icmpv6,
      icmpType: isV4 ? 3 : 1,
      icmpCode: isV4 ? 3 : 4,
      reporter: server,
      payload,
    })
    bench.listen(5000)
    expect(icmpErrors(bench.guest)).toHaveLength(1)
    expect(bench.guest.datagrams.map(({ payload: bytes }) => bytes)).toEqual([pattern(1)])
    expect(bench.drops.entries()).toEqual([["udp: from an address that the guest has not written to", 1]])
  })

  test.each([
    ["other programs have it too", EADDRINUSE],
    ["there is no socket left", EMFILE],
  ])("keep the port where %s, and are left alone for a minute", (_why, errno) => {
    const { bench } = begun()
    bench.fromGuest(other, 5000, router, 4000, { payload })
    bench.sockets.openingAnswers.push(-EADDRINUSE, -errno)
    expect(() => bench.listen(5000)).toThrow(`${-errno}`)
    const port = bench.socket
    expect([bench.flows.size, bench.sockets.openSockets, bench.sockets.sockets.length]).toEqual([2, 1, 2])
    for (let second = 0; second < 59; second++) {
      bench.sockets.openingAnswers.push(-EADDRINUSE)
      expect(() => bench.listen(5000)).toThrow(`${-EADDRINUSE}`)
      bench.advance(1000)
    }
    expect([bench.sockets.sockets.length, port.demiflow.forwardingPort]).toEqual([2, 5000])
    bench.fromHost(port, pattern(1))
    // An address that the guest knows answers from another port.
    port.incoming.push(...datagramsOf(port, router, 4001, own, pattern(2)))
    bench.event(port, 1)
    expect(senders(bench)).toEqual([`${server} 3000 5000`, `${router} 4001 5000`])
    bench.fromGuest(guest, 5000, server, 3000, { payload: pattern(3) })
    expect(port.datagrams).toEqual([pattern(3)])
    bench.advance(1001)
    expect([bench.listen(5000).isOpen, port.isOpen]).toEqual([true, false])
  })

  test("end if not even they get the port again", () => {
    const { bench } = begun()
    bench.sockets.openingAnswers.push(-EADDRINUSE, -EADDRINUSE, -EADDRINUSE)
    expect(() => bench.listen(5000)).toThrow(`${-EADDRINUSE}`)
    expect([bench.flows.size, bench.sockets.openSockets]).toEqual([0, 0])
  })

  test("keep the port where another address, or the other version of IP, is listened at in vain", () => {
    const { bench, port } = begun()
    bench.sockets.openingAnswers.push(-EADDRINUSE)
    const address = Address.parse(isV4 ? "::" : "0.0.0.0")
    expect(() => bench.listen(5000, 5000, { address })).toThrow(`${-EADDRINUSE}`)
    expect([port.isOpen, bench.flows.size]).toEqual([true, 1])
  })

  test.each([
    ["the host's loopback", { address: Address.parse(isV4 ? "127.0.0.1" : "::1") }, false],
    ["an interface", { interfaceName: "eth1" }, false],
    ["the address that the host sends from", { address: Address.parse(own) }, true],
  ])("go on at %s only if that leads to where they go", (_where, end, isKept) => {
    const { bench } = begun()
    bench.sockets.openingAnswers.push(-EADDRINUSE)
    bench.listen(5000, 5000, end)
    expect(bench.sockets.sockets.some(({ isListening, isOpen }) => isListening && isOpen)).toBe(true)
    expect(bench.flows.size).toBe(isKept ? 1 : 0)
  })

  test("end where they are held to an interface, which a listening socket isn't", () => {
    const { bench } = begun()
    bench.sockets.isHeldToInterface = true
    bench.listen(5000)
    expect(bench.flows.size).toBe(0)
  })

  describe("of which there are very many", () => {
    const MOST_IN_A_TURN = 64
    const count = 200

    const manyBegun = () => {
      const bench = new Bench({ capacity: 512 })
      for (let index = 0; index < count; index++) bench.fromGuest(guest, 5000, server, 3000 + index, { payload })
      const boarded = vi.spyOn(SharedPort.prototype, "board")
      const listener = bench.listen(5000, 6000)
      return { bench, boarded: () => boarded.mock.calls.length, listener }
    }

    test("go on at the port a few in a turn", () => {
      const { bench, boarded, listener } = manyBegun()
      expect([boarded(), bench.sockets.openSockets, bench.flows.size]).toEqual([1, 1, count])
      for (let turn = 0, before = 1; before < count; turn++, before = boarded()) {
        expect(turn).toBeLessThan(count)
        bench.stack.expire(bench.clock.now)
        bench.stack.endTurn()
        expect(boarded() - before).toBeLessThanOrEqual(MOST_IN_A_TURN)
        expect(boarded()).toBeGreaterThan(before)
      }
      for (let index = 0; index < count; index++) bench.fromAnyone(listener, server, 3000 + index, own, pattern(1))
      expect(senders(bench)).toEqual(Array.from({ length: count }, (_, index) => `${server} ${3000 + index} 5000`))
      expect([boarded(), bench.flows.size, bench.drops.total]).toEqual([count, count, 0])
      // They time out as before.
      bench.advance(600_000)
      expect(bench.flows.size).toBe(0)
    })

    test("pass on what comes before their turn has, in both directions", () => {
      const { bench, boarded, listener } = manyBegun()
      for (const index of [0, 99, 199]) {
        listener.incoming.push(...datagramsOf(listener, server, 3000 + index, own, pattern(1)))
      }
      bench.stack.fromListener(listener.side as never, 1)
      bench.fromGuest(guest, 5000, server, 3100, { payload: pattern(3) })
      expect(senders(bench)).toEqual([0, 99, 199].map((index) => `${server} ${3000 + index} 5000`))
      expect(listener.datagrams).toEqual([pattern(3)])
      expect([boarded(), bench.flows.size, bench.drops.total]).toEqual([4, count, 0])
      bench.advance(0)
      expect([boarded(), bench.flows.size]).toEqual([count, count])
    })

    test("end with the port, those whose turn hasn't come as well", () => {
      const { bench } = manyBegun()
      bench.stack.unlisten(0 as never)
      bench.advance(0)
      expect([bench.flows.size, bench.sockets.openSockets, bench.drops.total]).toEqual([0, 0, 0])
    })
  })
})
