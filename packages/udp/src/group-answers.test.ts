/** Answers to what the guest has sent to groups. */
import { Address } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { Bench, type BenchOptions, datagramsOf, pattern } from "./test-support/bench.ts"
import { families } from "./test-support/families.ts"

const payload = pattern(12)
const PORT = 40_000
const SENDER_PORT = 6000

describe.each(Object.entries(families))("answers from a group over %s", (name, { guest, router, server }) => {
  const isV4 = name === "IPv4"
  const group = isV4 ? "239.255.255.250" : "ff0e::c"
  const own = isV4 ? "192.0.2.1" : "2001:db8::1"
  const loopback = isV4 ? "127.0.0.1" : "::1"
  const gateway = isV4 ? "192.0.2.254" : "2001:db8::fe"
  const withRules = (rules: object): BenchOptions => ({ rules: { v4: rules, v6: rules } })

  /** The guest has asked a group. */
  const asked = (options?: BenchOptions) => {
    const bench = new Bench(options)
    bench.fromGuest(guest, PORT, group, 1900, { payload })
    const [port] = bench.host.sockets
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
})
