/** Answers to datagrams that the guest has sent to groups. */
import { Address, Errno } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { Bench, type BenchOptions, datagramsOf, pattern } from "./test-support/bench.ts"
import { families } from "./test-support/families.ts"

const payload = pattern(12)
const PORT = 40_000
const SENDER_PORT = 6000

describe.each(Object.entries(families))("answers from a group over %s", (name, { guest, other, router, server }) => {
  const isV4 = name === "IPv4"
  const group = isV4 ? "239.255.255.250" : "ff0e::c"
  const own = isV4 ? "192.0.2.1" : "2001:db8::1"
  const loopback = isV4 ? "127.0.0.1" : "::1"
  const gateway = isV4 ? "192.0.2.254" : "2001:db8::fe"
  const withRules = (rules: object): BenchOptions => ({ rules: { v4: rules, v6: rules } })

  /** Returns a bench whose guest has sent to a group. */
  const asked = (options?: BenchOptions) => {
    const bench = new Bench(options)
    bench.fromGuest(guest, PORT, group, 1900, { payload })
    const [port] = bench.sockets.sockets
    const answer = (from: string, fromPort = SENDER_PORT) => {
      port.incoming.push(...datagramsOf(port, from, fromPort, own, payload))
      bench.event(port, 1)
    }
    return { bench, port, answer }
  }
  const senders = ({ guest: heard }: Bench) =>
    heard.datagrams.map(({ tap }) => `${tap.forwardingAddress} ${tap.forwardingPort}`)

  test("come from anybody", () => {
    const { bench, answer } = asked()
    answer(router)
    answer(server)
    expect(senders(bench)).toEqual([`${router} ${SENDER_PORT}`, `${server} ${SENDER_PORT}`])
  })

  test("come from no loopback address, at which the guest reaches nobody either", () => {
    const { bench, port, answer } = asked()
    answer(loopback)
    port.sent.length = 0
    bench.fromGuest(guest, PORT, loopback, SENDER_PORT, { payload })
    expect([bench.guest.datagrams, port.sent]).toEqual([[], []])
    expect(bench.drops.entries()).toEqual([
      ["forward: loopback address from the guest", 1],
      ["forward: source address that the guest can't answer", 1],
    ])
  })

  test("come from the host's loopback by the name that it has", () => {
    const { bench, port, answer } = asked(withRules({ hostLoopback: Address.parse(gateway) }))
    answer(loopback)
    expect(senders(bench)).toEqual([`${gateway} ${SENDER_PORT}`])
    bench.fromGuest(guest, PORT, gateway, SENDER_PORT, { payload })
    expect(port.sent.at(-1)?.to.correspondentAddress.toString()).toBe(loopback)
  })

  test("come from the guest's own address by the name of who shares it", () => {
    const { bench, answer } = asked(withRules({ ourAddress: Address.parse(gateway) }))
    answer(`${isV4 ? bench.guest.lastSeenV4 : bench.guest.lastSeenV6}`)
    expect(senders(bench)).toEqual([`${gateway} ${SENDER_PORT}`])
  })

  test("are heard although there was no socket to learn where the question came from", () => {
    const bench = new Bench()
    bench.sockets.openingAnswers.push(0, -Errno.EMFILE)
    bench.fromGuest(guest, PORT, group, 1900, { payload })
    const [port] = bench.sockets.sockets
    port.incoming.push(...datagramsOf(port, router, SENDER_PORT, own, payload))
    bench.event(port, 1)
    expect(senders(bench)).toEqual([`${router} ${SENDER_PORT}`])
    expect(bench.drops.total).toBe(0)
    // The next datagram is recognised when it comes back, and the host isn't asked again after that.
    bench.fromGuest(guest, PORT, group, 1900, { payload })
    const listener = bench.listen(1900)
    const opened = bench.sockets.opened.length
    bench.fromGuest(guest, PORT, group, 1900, { payload })
    bench.fromAnyone(listener, own, PORT, own, payload)
    expect(bench.drops.entries()).toEqual([["udp: the guest's own, to a group", 1]])
    expect(bench.sockets.opened.length).toBe(opened)
  })

  test("belong to the newest question that is left", () => {
    const bench = new Bench()
    const ask = (from: string, index: number) =>
      bench.fromGuest(from, PORT, isV4 ? `239.0.0.${index}` : `ff0e::${index}`, 1900, { payload })
    const answer = (from: string) => {
      const [port] = bench.sockets.sockets
      port.incoming.push(...datagramsOf(port, from, SENDER_PORT, own, payload))
      bench.event(port, 1)
      return `${bench.guest.datagrams.at(-1)?.tap.correspondentAddress}`
    }
    ask(guest, 1)
    ask(guest, 2)
    ask(other, 3)
    expect(answer(server)).toBe(other)
    bench.advance(119_000)
    ask(guest, 1)
    bench.advance(2_000)
    expect(answer(router)).toBe(guest)
    bench.advance(200_000)
    expect([bench.flows.size, bench.sockets.openSockets]).toEqual([0, 0])
  })

  test("aren't taken for what the guest has sent itself, however many groups it has asked", () => {
    const bench = new Bench({ capacity: 512 })
    const count = 300
    for (let index = 0; index < count; index++) {
      const low = index & 255
      const address = isV4 ? `239.1.${index >> 8}.${low}` : `ff0e::${(index >> 8).toString(16)}:${low.toString(16)}`
      bench.fromGuest(guest, PORT, address, 1900, { payload })
    }
    const listener = bench.listen(1900)
    bench.fromAnyone(listener, own, PORT, own, payload)
    expect(bench.drops.entries()).toEqual([["udp: the guest's own, to a group", 1]])
    expect(bench.flows.size).toBe(count)
    bench.stack.abortFlows()
    bench.fromAnyone(listener, own, PORT, own, payload)
    expect(bench.drops.total).toBe(1)
    expect(bench.guest.datagrams).toHaveLength(1)
  })
})
