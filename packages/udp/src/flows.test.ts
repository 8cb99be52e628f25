import { Address, Errno } from "@demiflow/core"
import { occupyFlows } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { Bench, icmpErrors, pattern } from "./test-support/bench.ts"
import { families } from "./test-support/families.ts"

const payload = pattern(12)

describe.each(Object.entries(families))("flows over %s", (name, { guest, server }) => {
  const isV4 = name === "IPv4"
  const begin = (bench: Bench, port = 40_000) => bench.fromGuest(guest, port, server, 5300, { payload })
  const ask = (bench: Bench) => bench.fromGuest(guest, 40_000, server, 53, { payload })
  const lasts = (bench: Bench, milliseconds: number) => {
    bench.advance(milliseconds - 1)
    expect(bench.flows.size).toBe(1)
    bench.advance(1)
    expect([bench.flows.size, bench.sockets.openSockets]).toEqual([0, 0])
  }

  // RFC 4787 REQ-5 (ports)
  test("end 30 s after a single exchange with a port of questions and answers (RFC 4787, REQ-5 (a)), answered or not", () => {
    const bench = new Bench()
    ask(bench)
    lasts(bench, 30_000)
    ask(bench)
    // A second question before the first answer is part of the exchange.
    ask(bench)
    bench.fromHost(bench.socket, payload)
    bench.fromHost(bench.socket, payload)
    lasts(bench, 30_000)
  })

  test.each([443, 500, 1023])("end 120 s after a datagram to port %i: it may be one of more", (port) => {
    const bench = new Bench()
    bench.fromGuest(guest, 40_000, server, port, { payload })
    lasts(bench, 120_000)
  })

  test("end 180 s after the last datagram where the guest goes on after an answer from such a port", () => {
    const bench = new Bench()
    ask(bench)
    bench.fromHost(bench.socket, payload)
    ask(bench)
    lasts(bench, 180_000)
    ask(bench)
    bench.fromHost(bench.socket, payload)
    lasts(bench, 30_000)
  })

  // RFC 4787 REQ-5
  test("end 120 s after the last datagram while nothing has come back", () => {
    const bench = new Bench()
    begin(bench)
    bench.advance(20_000)
    begin(bench)
    bench.advance(119_999)
    expect(bench.sockets.openSockets).toBe(1)
    bench.advance(1)
    expect(bench.sockets.openSockets).toBe(0)
    expect(bench.flows.size).toBe(0)
  })

  // RFC 4787 REQ-6
  test("end 180 s after the last datagram in either direction once something has come back", () => {
    const bench = new Bench()
    begin(bench)
    bench.fromHost(bench.socket, payload)
    bench.advance(179_000)
    begin(bench)
    bench.advance(179_000)
    bench.fromHost(bench.socket, payload)
    bench.advance(179_999)
    expect(bench.sockets.openSockets).toBe(1)
    bench.advance(1)
    expect(bench.sockets.openSockets).toBe(0)
    expect(bench.flows.size).toBe(0)
  })

  test("take other times if asked to", () => {
    const bench = new Bench({ timeoutBeforeReply: 10, timeoutAfterReply: 20, timeoutOneShot: 5 })
    begin(bench)
    bench.advance(10)
    expect(bench.flows.size).toBe(0)
    begin(bench)
    bench.fromHost(bench.socket, payload)
    bench.advance(19)
    expect(bench.flows.size).toBe(1)
    bench.advance(1)
    expect(bench.flows.size).toBe(0)
    ask(bench)
    lasts(bench, 5)
  })

  test("start anew after their end", () => {
    const bench = new Bench()
    begin(bench)
    bench.advance(120_000)
    begin(bench)
    bench.fromHost(bench.socket, payload)
    expect(bench.sockets.sockets).toHaveLength(2)
    expect(bench.guest.datagrams).toHaveLength(1)
  })

  test("leave nothing behind when all are ended at once", () => {
    const bench = new Bench()
    for (let port = 1000; port < 1060; port++) begin(bench, port)
    expect(bench.sockets.openSockets).toBe(60)
    bench.stack.abortFlows()
    expect(bench.sockets.openSockets).toBe(0)
    expect(bench.flows.size).toBe(0)
    expect(bench.stack.nextDeadline()).toBe(Number.POSITIVE_INFINITY)
  })

  test("are refused while the table is full, each packet counted once, and begin again when there is a place", () => {
    const bench = new Bench({ capacity: 2 })
    const taken = occupyFlows(bench.flows, 0, 2)
    bench.fromGuest(guest, 3, server, 53, { payload }, { payload }, { payload })
    expect(bench.sockets.opened).toHaveLength(0)
    expect(bench.drops.entries()).toEqual([["flow: table full", 3]])
    for (const flow of taken) bench.flows.release(flow)
    bench.flows.endTurn()
    begin(bench, 3)
    expect(bench.flows.size).toBe(1)
    expect(bench.drops.total).toBe(3)
  })

  test("take any port where the guest's isn't free", () => {
    // A port in use may still be free at the address that a connected socket shows.
    const inUse = [-Errno.EADDRINUSE, 0, -Errno.EADDRINUSE]
    for (const [answers, asked] of [
      [inUse, [500, 0, 500, 0]],
      [[-Errno.EACCES], [500, 0]],
    ]) {
      const bench = new Bench()
      bench.sockets.openingAnswers.push(...answers)
      begin(bench, 500)
      expect(bench.sockets.opened.map(({ forwardingPort }) => forwardingPort)).toEqual(asked)
      expect(bench.socket.sent).toHaveLength(1)
    }
  })

  test("are refused without sockets, with one warning a minute", () => {
    const bench = new Bench()
    const shortages = [Errno.EMFILE, Errno.ENFILE, Errno.ENOMEM]
    for (const errno of shortages) {
      bench.sockets.openingAnswers.push(-errno)
      bench.fromGuest(guest, 40_000, server, 53, { payload }, { payload })
    }
    expect(bench.drops.entries()).toEqual([["udp: no socket left", 6]])
    expect(bench.warnings).toHaveLength(1)
    expect(bench.flows.size).toBe(0)
    bench.advance(60_000)
    bench.sockets.openingAnswers.push(-Errno.EMFILE)
    begin(bench)
    expect(bench.warnings).toHaveLength(2)
    expect(bench.guest.sent).toEqual([])
  })

  test("are refused where the host opens no port", () => {
    const bench = new Bench()
    bench.sockets.openingAnswers.push(-Errno.EADDRNOTAVAIL)
    bench.fromGuest(guest, 40_000, server, 53, { payload }, { payload })
    expect(bench.flows.size).toBe(0)
    expect(bench.drops.entries()).toEqual([["udp: host has no way there", 2]])
    expect(icmpErrors(bench.guest)).toMatchObject([{ type: isV4 ? 3 : 1, code: isV4 ? 13 : 1, reporter: server }])
    expect(bench.warnings).toEqual([])
  })

  test("end without a route, and the guest gets an error", () => {
    const bench = new Bench()
    bench.sockets.nextSendingAnswers.push(-Errno.ENETUNREACH, -Errno.ENETUNREACH)
    bench.fromGuest(guest, 40_000, server, 53, { payload }, { payload })
    expect([bench.flows.size, bench.sockets.openSockets]).toEqual([0, 0])
    expect(bench.drops.entries()).toEqual([["udp: refused by the host", 2]])
    const [error, ...others] = icmpErrors(bench.guest)
    expect(others).toEqual([])
    expect(error).toMatchObject({
      type: isV4 ? 3 : 1,
      code: 0,
      reporter: server,
      target: guest,
      quotedSource: guest,
      quotedTarget: server,
      quotedProtocol: 17,
    })
    expect([...error.quoted.subarray(0, 6)]).toEqual([40_000 >> 8, 40_000 & 255, 0, 53, 0, 20])
    expect(error.quoted.subarray(8)).toEqual(payload)
  })

  test("go where the policy says", () => {
    const gateway = Address.parse(isV4 ? "192.0.2.1" : "fe80::1")
    const bench = new Bench({ rules: { v4: { hostLoopback: gateway }, v6: { hostLoopback: gateway } } })
    bench.fromGuest(guest, 40_000, `${gateway}`, 53, { payload })
    bench.fromHost(bench.socket, payload)
    expect(`${bench.socket.demiflow.correspondentAddress}`).toBe(isV4 ? "127.0.0.1" : "::1")
    expect(`${bench.guest.datagrams[0].tap.forwardingAddress}`).toBe(`${gateway}`)
  })

  test("of a version that is off are counted by the policy", () => {
    const bench = new Bench({ rules: {} })
    bench.fromGuest(guest, 40_000, server, 53, { payload }, { payload })
    expect(bench.drops.entries()).toEqual([["forward: IP version disabled", 2]])
    expect(bench.flows.size).toBe(0)
  })
})
