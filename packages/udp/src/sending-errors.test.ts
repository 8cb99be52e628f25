import { Errno, ErrorOrigin } from "@demiflow/core"
import { MOST_OF_OTHERS } from "@demiflow/protocol-kit"
import { describe, expect, test } from "vitest"
import { Bench, icmpErrors, pattern } from "./test-support/bench.ts"
import { families } from "./test-support/families.ts"
import { directions, splicingBench } from "./test-support/splicing.ts"

describe.each(Object.entries(families))("reports about other flows over %s", (name, { guest, server, router }) => {
  const payload = pattern(12)
  const report = {
    errno: Errno.ECONNREFUSED,
    origin: name === "IPv4" ? ErrorOrigin.icmp : ErrorOrigin.icmpv6,
    icmpType: name === "IPv4" ? 3 : 1,
    icmpCode: name === "IPv4" ? 3 : 4,
    reporter: router,
    payload,
    destination: { address: router, port: 7 },
  }

  test("cost a datagram nothing, one after another, and belong to those flows", () => {
    const bench = new Bench()
    bench.fromGuest(guest, 40_000, router, 7, { payload })
    bench.fromGuest(guest, 40_000, server, 53, { payload })
    bench.socket.sent.length = 0
    bench.socket.reportWithAnswers(3, report)
    bench.fromGuest(guest, 40_000, server, 53, { payload: pattern(5) })
    expect(icmpErrors(bench.guest).map(({ quotedTarget }) => quotedTarget)).toEqual([router, router, router])
    expect(bench.socket.datagrams).toEqual([pattern(5)])
    expect(bench.drops.entries()).toEqual([])
  })

  test.each([Errno.ECONNREFUSED, Errno.EHOSTUNREACH])("that keep coming (%i) are no refusal by the host", (errno) => {
    const bench = new Bench()
    bench.fromGuest(guest, 40_000, server, 53, { payload })
    const strangers = { ...report, errno, destination: { address: router, port: 9 } }
    bench.socket.reportWithAnswers(MOST_OF_OTHERS + 1, strangers)
    bench.fromGuest(guest, 40_000, server, 54, { payload: pattern(5) })
    expect(bench.socket.datagrams).toEqual([payload])
    expect(bench.guest.sent).toEqual([])
    expect(bench.flows.size).toBe(2)
    expect(Object.fromEntries(bench.drops.entries())["udp: refused by the host"]).toBe(1)
  })

  test("are all that a refused connection can be, whatever the queue holds", () => {
    const bench = new Bench()
    bench.fromGuest(guest, 40_000, router, 7, { payload })
    bench.socket.sendingAnswers.push(...Array(MOST_OF_OTHERS + 1).fill(-Errno.ECONNREFUSED))
    bench.fromGuest(guest, 40_000, server, 53, { payload: pattern(5) })
    expect(bench.flows.size).toBe(2)
    expect(bench.guest.sent).toEqual([])
    expect(bench.drops.entries()).toEqual([["udp: refused by the host", 1]])
  })
})

test.each(directions)("reports that come one after another cost the local path nothing, $name", (direction) => {
  const { bench, begin, deliver } = splicingBench(direction)
  const { answering, opened } = begin(1234)
  opened.reportWithAnswers(3, { errno: Errno.ECONNREFUSED, origin: ErrorOrigin.icmp })
  deliver(answering, pattern(1))
  expect(opened.datagrams).toEqual([pattern(1)])
  answering.reportWithAnswers(3, {
    errno: Errno.ECONNREFUSED,
    origin: ErrorOrigin.icmp,
    destination: { address: direction.loopback, port: 9 },
  })
  deliver(opened, pattern(2))
  expect(answering.datagrams).toEqual([pattern(2)])
  expect(bench.drops.entries().filter(([reason]) => reason === "udp: refused by the host")).toEqual([])
})
