import { Address } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { Bench, type BenchOptions, pattern } from "./test-support/bench.ts"
import { families } from "./test-support/families.ts"

const payload = pattern(12)
const PORT = 5000

describe.each(Object.entries(families))(
  "flows of a forwarded port over %s",
  (name, { guest, other, server, router }) => {
    const isV4 = name === "IPv4"
    const own = isV4 ? "192.0.2.1" : "2001:db8::1"
    const another = isV4 ? "192.0.2.9" : "2001:db8::9"
    const loopback = isV4 ? "127.0.0.1" : "::1"
    const gateway = isV4 ? "192.0.2.254" : "2001:db8::fe"
    const end = (address: string, port: number) => (isV4 ? `${address}:${port}` : `[${address}]:${port}`)
    const at = (address: string) => ({ address: Address.parse(address) })
    const rulesWith = (rules: object): BenchOptions => ({ rules: { v4: rules, v6: rules } })
    /** Returns the ends that datagrams of the guest's port left from, in the order in which they were sent. */
    const sentFrom = ({ sockets }: Bench) =>
      sockets.sockets.flatMap(({ sent, demiflow }) =>
        sent.map(({ to }) => {
          const { forwardingAddress: named } = to
          return end(`${named.isUnspecified ? demiflow.forwardingAddress : named}`, demiflow.forwardingPort)
        }),
      )

    test.each([
      ["at the host's loopback", loopback],
      ["at an address that the host doesn't send from", another],
    ])("don't leave by a listener %s, but by the same port of the address that the host sends from", (_, address) => {
      const bench = new Bench()
      const listener = bench.listen(PORT, PORT, at(address))
      bench.fromGuest(guest, PORT, server, 123, { payload })
      bench.fromGuest(guest, PORT, router, 123, { payload })
      expect(listener.sent).toEqual([])
      expect(sentFrom(bench)).toEqual([end(own, PORT), end(own, PORT)])
      // Answers arrive there.
      bench.fromHost(bench.sockets.sockets.find(({ sent }) => sent.length > 0) ?? listener, pattern(3))
      expect(bench.guest.datagrams.map(({ tap }) => `${tap.forwardingAddress}`)).toEqual([server])
      bench.stack.abortFlows()
      expect(bench.sockets.openSockets).toBe(1)
    })

    test("leave by a listener at the address that the host sends from", () => {
      const bench = new Bench()
      const listener = bench.listen(PORT, PORT, at(own))
      bench.fromGuest(guest, PORT, server, 123, { payload })
      expect(listener.datagrams).toEqual([payload])
      bench.fromAnyone(listener, server, 123, own, pattern(3))
      expect(bench.guest.datagrams.map(({ tap }) => tap.forwardingPort)).toEqual([123])
      expect(bench.flows.size).toBe(1)
    })

    test("leave by one at the host's loopback, where that is where they go", () => {
      const bench = new Bench(rulesWith({ hostLoopback: Address.parse(gateway) }))
      const listener = bench.listen(PORT, PORT, at(loopback))
      bench.fromGuest(guest, PORT, gateway, 123, { payload })
      expect(listener.datagrams).toEqual([payload])
    })

    test("don't leave by one that is held to an interface", () => {
      const bench = new Bench()
      const listener = bench.listen(PORT, PORT, { interfaceName: "eth1" })
      bench.fromGuest(guest, PORT, server, 123, { payload })
      expect(listener.sent).toEqual([])
      expect(bench.socket.datagrams).toEqual([payload])
    })

    test("leave by no listener, as none is held to the interface that they must leave by, except to the host's loopback", () => {
      const bench = new Bench(rulesWith({ hostLoopback: Address.parse(gateway) }))
      bench.sockets.isHeldToInterface = true
      const listener = bench.listen(PORT, PORT)
      bench.fromGuest(guest, PORT, server, 123, { payload })
      expect(listener.sent).toEqual([])
      expect(bench.socket.datagrams).toEqual([payload])
      bench.fromGuest(guest, PORT, gateway, 123, { payload: pattern(3) })
      expect(listener.datagrams).toEqual([pattern(3)])
    })

    test("leave by none at another address than the one that they have to leave by", () => {
      const bench = new Bench(rulesWith({ outboundAddress: Address.parse(own) }))
      const listener = bench.listen(PORT, PORT, at(another))
      bench.fromGuest(guest, PORT, server, 123, { payload })
      expect(listener.sent).toEqual([])
      expect(sentFrom(bench)).toEqual([end(own, PORT)])
    })

    test("leave by one at just that address, or at all of them", () => {
      for (const listeningEnd of [at(own), {}]) {
        const bench = new Bench(rulesWith({ outboundAddress: Address.parse(own) }))
        const listener = bench.listen(PORT, PORT, listeningEnd)
        bench.fromGuest(guest, PORT, server, 123, { payload })
        expect(listener.datagrams).toEqual([payload])
        expect(listener.sent.map(({ to }) => `${to.forwardingAddress}`)).toEqual([own])
      }
    })

    test("have another port where the host has the number at the address that it sends from", () => {
      const bench = new Bench()
      bench.listen(PORT, PORT + 1, at(own))
      bench.fromGuest(guest, PORT, server, 123, { payload })
      bench.fromGuest(guest, PORT, router, 123, { payload })
      expect(new Set(sentFrom(bench))).toEqual(new Set([end(isV4 ? "0.0.0.0" : "::", 50_000)]))
    })

    test("what arrives at one of two listeners with one number goes where that leads", () => {
      const bench = new Bench()
      bench.listen(PORT, PORT, at(own))
      const second = bench.listen(PORT, PORT + 1, at(another))
      bench.fromGuest(guest, PORT, server, 123, { payload })
      bench.fromAnyone(second, server, 123, another, pattern(2))
      expect(bench.guest.datagrams.map(({ tap }) => tap.correspondentPort)).toEqual([PORT + 1])
    })

    test("two addresses of the guest's that speak to one correspondent have a port each", () => {
      const bench = new Bench()
      const listener = bench.listen(PORT, PORT)
      bench.fromAnyone(listener, router, 9, own, payload)
      bench.fromGuest(guest, PORT, server, 123, { payload: pattern(1) })
      bench.fromGuest(other, PORT, server, 123, { payload: pattern(2) })
      expect(bench.socket).not.toBe(listener)
      bench.fromHost(bench.socket, pattern(3))
      bench.fromAnyone(listener, server, 123, own, pattern(4))
      expect(bench.guest.datagrams.map(({ tap }) => `${tap.correspondentAddress}`)).toEqual([guest, other, guest])
    })

    test("what was asked at a port is answered by no flow of another one", () => {
      const bench = new Bench()
      const asked = bench.listen(PORT, 53, at(own))
      bench.listen(PORT + 1, 53, at(another))
      bench.fromAnyone(asked, server, 1234, own, payload)
      bench.fromGuest(other, 53, server, 1234, { payload: pattern(3) })
      expect(asked.sent.map(({ to }) => `${to}`)).toEqual([`host ${end(own, PORT)} → ${end(server, 1234)}`])
    })

    test.each(isV4 ? ["127.0.0.1", "224.0.0.1", "255.255.255.255", "0.0.0.0"] : ["::1", "ff02::1", "::"])(
      "answers from %s go nowhere, as all else from there",
      (source) => {
        const bench = new Bench()
        const listener = bench.listen(PORT, 53)
        bench.fromAnyone(listener, server, 1234, own, payload)
        bench.fromGuest(source, 53, server, 1234, { payload: pattern(3) })
        expect(listener.sent).toEqual([])
        expect(bench.drops.total).toBe(1)
        // The question still counts as unanswered.
        bench.advance(120_000)
        expect(bench.flows.size).toBe(0)
      },
    )
  },
)
