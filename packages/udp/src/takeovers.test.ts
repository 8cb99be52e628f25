/** Ports at which is listened although flows of the guest's have them. */
import { Address, Errno, ErrorOrigin } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { Bench, datagramsOf, icmpErrors, pattern } from "./test-support/bench.ts"
import { families } from "./test-support/families.ts"

const payload = pattern(12)
const { EADDRINUSE, ECONNREFUSED, EMFILE } = Errno

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
    expect([port.isOpen, bench.host.openSockets, bench.flows.size]).toEqual([false, 1, 1])
    bench.fromAnyone(listener, server, 3000, own, pattern(1))
    bench.fromAnyone(listener, router, 3000, own, pattern(2))
    expect(senders(bench)).toEqual([`${server} 3000 5000`, `${router} 3000 6000`])
    bench.fromGuest(guest, 5000, server, 3000, { payload: pattern(3) })
    expect(listener.datagrams).toEqual([pattern(3)])
    bench.stack.unlisten(0 as never)
    bench.advance(0)
    expect([bench.flows.size, bench.host.openSockets, bench.drops.total]).toEqual([0, 0, 0])
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
    bench.host.openingAnswers.push(-EADDRINUSE, -errno)
    expect(() => bench.listen(5000)).toThrow(`${-errno}`)
    const port = bench.socket
    expect([bench.flows.size, bench.host.openSockets, bench.host.sockets.length]).toEqual([2, 1, 2])
    for (let second = 0; second < 59; second++) {
      bench.host.openingAnswers.push(-EADDRINUSE)
      expect(() => bench.listen(5000)).toThrow(`${-EADDRINUSE}`)
      bench.advance(1000)
    }
    expect([bench.host.sockets.length, port.demiflow.forwardingPort]).toEqual([2, 5000])
    bench.fromHost(port, pattern(1))
    // From another port, an address that the guest knows.
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
    bench.host.openingAnswers.push(-EADDRINUSE, -EADDRINUSE, -EADDRINUSE)
    expect(() => bench.listen(5000)).toThrow(`${-EADDRINUSE}`)
    expect([bench.flows.size, bench.host.openSockets]).toEqual([0, 0])
  })

  test("keep the port where another address, or the other version of IP, is listened at in vain", () => {
    const { bench, port } = begun()
    bench.host.openingAnswers.push(-EADDRINUSE)
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
    bench.host.openingAnswers.push(-EADDRINUSE)
    bench.listen(5000, 5000, end)
    expect(bench.host.sockets.some(({ isListening, isOpen }) => isListening && isOpen)).toBe(true)
    expect(bench.flows.size).toBe(isKept ? 1 : 0)
  })

  test("end where they are held to an interface, which a listening socket isn't", () => {
    const { bench } = begun()
    bench.host.isHeldToInterface = true
    bench.listen(5000)
    expect(bench.flows.size).toBe(0)
  })
})
