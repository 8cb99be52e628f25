import {
  Address,
  Errno,
  ErrorOrigin,
  finishUdpChecksum,
  IpProtocol,
  SocketEvent,
  sumPseudoHeader,
} from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { Bench, icmpErrors, pattern } from "./test-support/bench.ts"
import { families } from "./test-support/families.ts"

describe.each(Object.entries(families))("errors over %s", (name, { guest, server, router }) => {
  const isV4 = name === "IPv4"
  const origin = isV4 ? ErrorOrigin.icmp : ErrorOrigin.icmpv6
  const payload = pattern(60)

  function connected(rules = { v4: {}, v6: {} }, to = server): Bench {
    const bench = new Bench({ rules })
    bench.fromGuest(guest, 33_434, to, 33_435, { payload })
    return bench
  }

  test.each([
    ["port unreachable", Errno.ECONNREFUSED, [3, 3], [1, 4]],
    ["host unreachable", Errno.EHOSTUNREACH, [3, 1], [1, 3]],
    ["net unreachable", Errno.ENETUNREACH, [3, 0], [1, 0]],
    ["time exceeded", Errno.EHOSTUNREACH, [11, 0], [3, 0]],
    ["prohibited", Errno.EHOSTUNREACH, [3, 13], [1, 1]],
    ["parameter problem", 71, [12, 0], [4, 1]],
  ])("%s comes to the guest as it was reported, quoting the guest's own datagram", (_, errno, v4, v6) => {
    const bench = connected()
    const [icmpType, icmpCode] = isV4 ? v4 : v6
    bench.socket.errors.push({ errno, origin, icmpType, icmpCode, reporter: router, payload })
    bench.event(bench.socket, SocketEvent.error)
    const [error, ...others] = icmpErrors(bench.guest)
    expect(others).toEqual([])
    expect(error).toMatchObject({
      type: icmpType,
      code: icmpCode,
      information: 0,
      reporter: router,
      target: guest,
      quotedSource: guest,
      quotedTarget: server,
      quotedProtocol: IpProtocol.udp,
    })
    const view = new DataView(error.quoted.buffer)
    expect([view.getUint16(0), view.getUint16(2), view.getUint16(4)]).toEqual([33_434, 33_435, 68])
    expect(error.quoted.subarray(8)).toEqual(payload)
    // The quoted checksum is the one that the guest has sent.
    const { bytes } = bench.arena
    const offset = bench.arena.reserve(128)
    bytes.set(error.quoted, offset)
    bench.arena.view.setUint16(offset + 6, 0)
    bench.flows.readSide(0 as never, bench.sockets.opened[0])
    const sum = bench.arena.sum(offset, 68, sumPseudoHeader(bench.sockets.opened[0], IpProtocol.udp, 68))
    expect(view.getUint16(6)).toBe(finishUdpChecksum(sum))
  })

  test("too big carries the MTU", () => {
    const bench = connected()
    const [icmpType, icmpCode] = isV4 ? [3, 4] : [2, 0]
    const entry = { errno: Errno.EMSGSIZE, origin, icmpType, icmpCode, information: 1300, reporter: router }
    bench.socket.errors.push({ ...entry, payload })
    bench.event(bench.socket, SocketEvent.error)
    expect(icmpErrors(bench.guest)).toMatchObject([{ type: icmpType, code: icmpCode, information: 1300 }])
  })

  test("the correspondent that reports by itself is the one that the guest wrote to, whatever stands for it", () => {
    const gateway = isV4 ? "192.0.2.1" : "fe80::1"
    const hostLoopback = Address.parse(gateway)
    const bench = connected({ v4: { hostLoopback }, v6: { hostLoopback } }, gateway)
    const [icmpType, icmpCode] = isV4 ? [3, 3] : [1, 4]
    const reporter = isV4 ? "127.0.0.1" : "::1"
    bench.socket.errors.push({ errno: Errno.ECONNREFUSED, origin, icmpType, icmpCode, reporter, payload })
    bench.event(bench.socket, SocketEvent.error)
    expect(icmpErrors(bench.guest)).toMatchObject([{ reporter: gateway, quotedTarget: gateway }])
  })

  test("the reporter is named as the guest knows it", () => {
    const hostLoopback = Address.parse(isV4 ? "192.0.2.1" : "fe80::1")
    const bench = connected({ v4: { hostLoopback }, v6: { hostLoopback } })
    const [icmpType, icmpCode] = isV4 ? [11, 0] : [3, 0]
    const reporter = isV4 ? "127.0.0.1" : "::1"
    bench.socket.errors.push({ errno: Errno.EHOSTUNREACH, origin, icmpType, icmpCode, reporter, payload })
    bench.event(bench.socket, SocketEvent.error)
    expect(icmpErrors(bench.guest)).toMatchObject([{ reporter: `${hostLoopback}` }])
  })

  test("a reporter with the guest's own address is not named, as the guest would not believe it", () => {
    const bench = connected()
    const [icmpType, icmpCode] = isV4 ? [3, 1] : [1, 3]
    bench.socket.errors.push({ errno: Errno.EHOSTUNREACH, origin, icmpType, icmpCode, reporter: guest, payload })
    bench.event(bench.socket, SocketEvent.error)
    expect(icmpErrors(bench.guest)).toMatchObject([{ reporter: server }])
  })

  test("what a router quotes in part is quoted in part, with the length of the whole", () => {
    const bench = new Bench()
    bench.fromGuest(guest, 40_000, server, 53, { payload: pattern(5000) })
    const [icmpType, icmpCode] = isV4 ? [3, 1] : [1, 3]
    const entry = { errno: Errno.EHOSTUNREACH, origin, icmpType, icmpCode, reporter: router }
    for (const known of [0, 200, 2000]) {
      bench.socket.errors.push({ ...entry, payload: pattern(5000).slice(0, known) })
    }
    bench.event(bench.socket, SocketEvent.error)
    const errors = icmpErrors(bench.guest)
    expect(errors.map(({ quoted }) => new DataView(quoted.buffer).getUint16(4))).toEqual([5008, 5008, 5008])
    expect(errors[0].quoted).toHaveLength(8)
    expect(errors[1].quoted.subarray(8)).toEqual(pattern(5000).slice(0, 200))
    const longest = isV4 ? 576 - 28 : 1280 - 88
    expect(errors[2].quoted.length).toBeLessThanOrEqual(longest)
    expect(errors[2].quoted.subarray(8)).toEqual(pattern(5000).slice(0, errors[2].quoted.length - 8))
  })

  test("an error reported over the other version of IP goes by what it means", () => {
    const bench = connected()
    const elsewhere = isV4 ? ErrorOrigin.icmpv6 : ErrorOrigin.icmp
    bench.socket.errors.push({ errno: Errno.ECONNREFUSED, origin: elsewhere, icmpType: 1, icmpCode: 4, payload })
    bench.event(bench.socket, SocketEvent.error)
    expect(icmpErrors(bench.guest)).toMatchObject([{ type: isV4 ? 3 : 1, code: isV4 ? 3 : 4, reporter: server }])
  })

  test("what has no form is counted", () => {
    const bench = connected()
    bench.socket.errors.push({ errno: 92, origin: 9, payload })
    bench.event(bench.socket, SocketEvent.error)
    expect(bench.guest.sent).toEqual([])
    expect(bench.drops.entries()).toEqual([["udp: error without ICMP form", 1]])
  })

  test("all that is queued is reported, and replies behind it come through", () => {
    const bench = connected()
    const [icmpType, icmpCode] = isV4 ? [3, 3] : [1, 4]
    for (let count = 0; count < 100; count++) {
      bench.socket.errors.push({ errno: Errno.ECONNREFUSED, origin, icmpType, icmpCode, payload })
    }
    bench.socket.incoming.push({ bytes: pattern(3), segmentSize: 0 })
    bench.event(bench.socket, SocketEvent.error | SocketEvent.readable)
    expect(icmpErrors(bench.guest)).toHaveLength(100)
    expect(bench.guest.datagrams).toHaveLength(1)
  })

  test("of two flows with one correspondent at a listener, the one that an error is about hears of it", () => {
    const bench = new Bench({ capacity: 256 })
    const listener = bench.listen(5_000, 53)
    const own = (index: number) => (isV4 ? `127.0.0.${index}` : `2001:db8::1:${index}`)
    for (let index = 1; index <= 20; index++) bench.fromAnyone(listener, server, 1_234, own(index), pattern(1))
    const ports = bench.guest.datagrams.map(({ tap }) => tap.forwardingPort)
    expect(new Set(ports).size).toBe(20)
    const [icmpType, icmpCode] = isV4 ? [3, 3] : [1, 4]
    const entry = { errno: Errno.ECONNREFUSED, origin, icmpType, icmpCode, payload }
    for (const index of [1, 20, 7, 99]) {
      listener.errors.push({ ...entry, source: own(index), destination: { address: server, port: 1_234 } })
    }
    bench.stack.fromListener(0 as never, SocketEvent.error)
    const targets = icmpErrors(bench.guest).map(({ quoted }) => new DataView(quoted.buffer).getUint16(2))
    expect(targets).toEqual([ports[0], ports[19], ports[6]])
    expect(bench.drops.entries()).toEqual([["udp: error without ICMP form", 1]])
  })

  test("a refusal of the host's own is reported in the name of the address that the guest wrote to", () => {
    const bench = connected()
    bench.socket.sendingAnswers.push(-Errno.EHOSTUNREACH, -Errno.EHOSTUNREACH)
    bench.fromGuest(guest, 33_434, server, 33_435, { payload: pattern(7) })
    expect(icmpErrors(bench.guest)).toMatchObject([
      { type: isV4 ? 3 : 1, code: isV4 ? 1 : 3, reporter: server, quotedSource: guest, quotedTarget: server },
    ])
    expect(icmpErrors(bench.guest)[0].quoted.subarray(8)).toEqual(pattern(7))
    expect(bench.drops.entries()).toEqual([["udp: refused by the host", 1]])
  })

  test("a datagram that the host finds too big is answered with the MTU from its error queue, or not at all", () => {
    const bench = connected()
    bench.socket.sendingAnswers.push(-Errno.EMSGSIZE, -Errno.EMSGSIZE)
    bench.fromGuest(guest, 33_434, server, 33_435, { payload })
    expect(icmpErrors(bench.guest)).toEqual([])
    bench.socket.reportWithAnswers(2, { errno: Errno.EMSGSIZE, origin: ErrorOrigin.host, information: 1280 })
    bench.fromGuest(guest, 33_434, server, 33_435, { payload })
    expect(icmpErrors(bench.guest)).toMatchObject([{ type: isV4 ? 3 : 2, code: isV4 ? 4 : 0, information: 1280 }])
  })

  test("refusals of the host's own are limited in number", () => {
    const bench = connected()
    const count = 500
    bench.socket.sendingAnswers.push(...Array.from({ length: 2 * count }, () => -Errno.ENETUNREACH))
    for (let sent = 0; sent < count; sent++) bench.fromGuest(guest, 33_434, server, 33_435, { payload })
    expect(icmpErrors(bench.guest)).toHaveLength(50)
    expect(bench.drops.get("udp: refused by the host")).toBe(count)
    bench.clock.now += 10
    bench.socket.sendingAnswers.push(-Errno.ENETUNREACH, -Errno.ENETUNREACH)
    bench.fromGuest(guest, 33_434, server, 33_435, { payload })
    expect(icmpErrors(bench.guest)).toHaveLength(51)
  })
})

test("no error answers a datagram to a broadcast address of a subnet, which the host alone knows", () => {
  const bench = new Bench()
  bench.sockets.nextSendingAnswers.push(-Errno.EACCES, -Errno.EACCES)
  bench.fromGuest("192.0.2.2", 137, "192.0.2.255", 137, { payload: pattern(5) })
  expect(bench.guest.sent).toEqual([])
  expect(bench.drops.entries()).toEqual([["udp: refused by the host", 1]])
  expect([bench.flows.size, bench.sockets.openSockets]).toEqual([0, 0])
})
