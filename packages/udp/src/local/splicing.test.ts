import { Address, Errno, Interface, SocketEvent } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { Bench, datagramsOf, pattern } from "../test-support/bench.ts"
import { families } from "../test-support/families.ts"
import { directions, refOf, SPLICING, splicingBench } from "../test-support/splicing.ts"

const payload = pattern(12)

describe.each(directions)("spliced flows, $name", (direction) => {
  const { loopback, target, any, place } = direction
  const isHost = place === Interface.host
  const end = (address: string, port: number) => (address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`)

  test("begin with a socket to the target, from any port", () => {
    const { bench, near, far, arrive } = splicingBench(direction)
    arrive(1234, payload)
    expect(near.opened).toHaveLength(1)
    expect(far.opened.map(String)).toEqual([`${isHost ? "splice" : "host"} ${end(any, 0)} → ${end(target, 53)}`])
    expect(far.sockets[0].datagrams).toEqual([payload])
    expect(bench.flows.size).toBe(1)
    expect(bench.drops.total).toBe(0)
  })

  test("those of one sender are one, those of others are others", () => {
    const { bench, far, listener } = splicingBench(direction)
    listener.incoming.push(
      ...datagramsOf(listener, loopback, 1, loopback, pattern(1)),
      ...datagramsOf(listener, loopback, 2, loopback, pattern(2)),
      ...datagramsOf(listener, loopback, 1, loopback, pattern(3), pattern(0)),
    )
    bench.listenerEvent(listener)
    expect(far.sockets.map(({ datagrams }) => datagrams.map(({ length }) => length))).toEqual([[1, 3, 0], [2]])
    expect(bench.flows.size).toBe(2)
  })

  test("what came together begins a flow together, and what was cut off is counted", () => {
    const { bench, far, listener } = splicingBench(direction)
    const [whole, cutOff] = datagramsOf(listener, loopback, 1, loopback, pattern(2500), pattern(65_508))
    listener.incoming.push({ ...whole, segmentSize: 1000 }, cutOff)
    bench.listenerEvent(listener)
    expect(far.sockets[0].sent.map(({ bytes, segmentSize }) => [bytes.length, segmentSize])).toEqual([[2500, 1000]])
    expect(bench.drops.entries()).toEqual([["udp: too large for the local path", 1]])
  })

  test("end 30 s after a single exchange with port 53, 180 s after the last datagram of more", () => {
    const { bench, near, far, begin, deliver } = splicingBench(direction)
    const first = begin(1)
    bench.advance(20_000)
    first.ask(payload)
    deliver(first.opened, payload)
    bench.advance(29_999)
    expect(bench.flows.size).toBe(1)
    bench.advance(1)
    expect(bench.flows.size).toBe(0)
    expect([near.openSockets, far.openSockets]).toEqual([1, 0])
    const second = begin(1)
    deliver(second.opened, payload)
    second.ask(payload)
    bench.advance(179_999)
    expect(bench.flows.size).toBe(1)
    bench.advance(1)
    expect([bench.flows.size, near.openSockets, far.openSockets]).toEqual([0, 1, 0])
    expect(bench.stack.nextDeadline()).toBe(Number.POSITIVE_INFINITY)
  })

  test("end 120 s after the last datagram without an answer, 180 s after the last otherwise, at other ports", () => {
    const bench = new Bench({ hasLocalPath: true, rules: direction.rules })
    const listener = bench.listen(5000, 5300, {}, undefined, place)
    const far = isHost ? bench.namespace : bench.sockets
    bench.fromAnyone(listener, loopback, 1, loopback, payload)
    bench.advance(119_999)
    expect(bench.flows.size).toBe(1)
    bench.advance(1)
    expect(bench.flows.size).toBe(0)
    bench.fromAnyone(listener, loopback, 1, loopback, payload)
    const [opened] = far.sockets.slice(-1)
    opened.incoming.push({ bytes: payload, segmentSize: 0 })
    bench.event(opened, SocketEvent.readable)
    bench.advance(179_999)
    expect(bench.flows.size).toBe(1)
    bench.advance(1)
    expect(bench.flows.size).toBe(0)
  })

  test("end with their listener, and leave nothing open", () => {
    const { bench, near, far, listener, begin } = splicingBench(direction)
    begin(1)
    bench.stack.unlisten(refOf(listener))
    expect([near.openSockets, far.openSockets, bench.flows.size]).toEqual([0, 0, 0])
    bench.event(listener, SocketEvent.readable | SocketEvent.error)
  })

  test("end with the stack", () => {
    const { bench, near, far, begin } = splicingBench(direction)
    begin(1)
    bench.stack.stop()
    // The remaining socket is the listener's.
    expect([near.openSockets, far.openSockets, bench.flows.size]).toEqual([1, 0, 0])
  })

  test("a place that is used again knows nothing of what was there before", () => {
    const { bench, listener, near, far, begin, deliver } = splicingBench(direction)
    const { opened } = begin(8)
    deliver(opened, pattern(1))
    bench.stack.abortFlows()
    const next = begin(9)
    bench.advance(29_999)
    expect(next.opened.isOpen).toBe(true)
    bench.advance(1)
    expect(next.opened.isOpen).toBe(false)
    expect(listener.datagrams).toEqual([pattern(1)])
    expect([near.openSockets, far.openSockets]).toEqual([1, 0])
  })

  test("a target that can't be reached is counted, and nothing stays open", () => {
    const { bench, near, far, arrive } = splicingBench(direction)
    far.openingAnswers.push(-Errno.ENETUNREACH)
    arrive(1, payload)
    expect(bench.drops.entries()).toEqual([["udp: host has no way there", 1]])
    expect([near.openSockets, far.openSockets, bench.flows.size]).toEqual([1, 0, 0])
  })

  test("without sockets, the oldest that the target hasn't answered gives way, also to the guest's own flows", () => {
    const { bench, near, far, begin, deliver } = splicingBench(direction)
    const { guest, server } = families[direction.name.includes("IPv4") ? "IPv4" : "IPv6"]
    const answered = begin(1)
    deliver(answered.opened, payload)
    const [first, second] = [begin(2), begin(3)]
    far.openingAnswers.push(-Errno.EMFILE)
    begin(4)
    expect([answered, first, second].map(({ opened }) => opened.isOpen)).toEqual([true, false, true])
    bench.sockets.openingAnswers.push(-Errno.EMFILE)
    bench.fromGuest(guest, 40_000, server, 53, { payload })
    expect([answered, first, second].map(({ opened }) => opened.isOpen)).toEqual([true, false, false])
    expect(bench.flows.size).toBe(3)
    expect(near.openSockets + far.openSockets).toBe(4)
    expect(bench.drops.entries()).toEqual([["udp: gave way unanswered", 2]])
  })

  test("if that doesn't help, datagrams are dropped and counted, with one warning a minute", () => {
    const { bench, near, far, arrive } = splicingBench(direction)
    far.openingAnswers.push(...Array.from({ length: 20 }, () => -Errno.EMFILE))
    arrive(1, ...Array.from({ length: 20 }, () => payload))
    bench.advance(10)
    expect(bench.drops.entries()).toEqual([["udp: no socket left", 20]])
    expect(bench.warnings).toHaveLength(1)
    expect([near.openSockets, far.openSockets, bench.flows.size]).toEqual([1, 0, 0])
    expect(bench.stack.nextDeadline()).toBe(Number.POSITIVE_INFINITY)
  })

  test("a flood of senders ends none that the target has answered, and takes its share of the table", () => {
    const { bench, near, far, begin, deliver, arrive } = splicingBench(direction, { capacity: 64 })
    const { ask, opened } = begin(1)
    deliver(opened, payload)
    for (let port = 2000; port < 2500; port++) arrive(port, payload)
    // From outside, at most a quarter may be unanswered; the guest's own may have its whole share.
    const most = direction.place === Interface.host ? 17 : 60
    expect(bench.flows.size).toBe(most)
    expect([near.openSockets, far.openSockets]).toEqual([1, most])
    ask(pattern(5))
    expect(opened.datagrams).toEqual([pattern(5)])
    expect(far.sockets.flatMap(({ datagrams }) => datagrams)).toHaveLength(501)
    bench.advance(200_000)
    expect([near.openSockets, far.openSockets, bench.flows.size]).toEqual([1, 0, 0])
  })

  test("a flood at one listener gives way to others after each budget, and is carried on with", () => {
    const { bench, far, listener } = splicingBench(direction)
    const flood = Array.from({ length: 300 }, (_, index) => pattern(10, index))
    listener.incoming.push(...datagramsOf(listener, loopback, 1, loopback, ...flood))
    bench.stack.fromListener(refOf(listener), SocketEvent.readable)
    expect(far.sockets[0].datagrams.length).toBeGreaterThan(40)
    expect(far.sockets[0].datagrams.length).toBeLessThan(200)
    expect(bench.stack.nextDeadline()).toBe(bench.clock.now)
    bench.advance(0)
    expect(far.sockets[0].datagrams).toEqual(flood)
  })

  test("a full table is counted", () => {
    const { bench, near, far, listener } = splicingBench(direction, { capacity: 2 })
    const { guest, server } = families[direction.name.includes("IPv4") ? "IPv4" : "IPv6"]
    for (const port of [1, 2]) bench.fromGuest(guest, port, server, 9, { payload })
    bench.fromAnyone(listener, loopback, 1, loopback, payload, payload)
    expect(bench.drops.entries()).toEqual([["flow: table full", 2]])
    expect([near, far].map(({ sockets }) => sockets.filter(({ isOpen }) => isOpen).length).sort()).toEqual(
      isHost ? [0, 3] : [1, 2],
    )
  })
})

describe.each(Object.entries(families))("beside spliced flows over %s", (name, { guest, server }) => {
  const isV4 = name === "IPv4"
  const loopback = isV4 ? "127.0.0.1" : "::1"
  const own = isV4 ? "192.0.2.1" : "2001:db8::1"

  test("senders from elsewhere at the same port have flows to the tap, and either kind may give way to the other", () => {
    const bench = new Bench({ hasLocalPath: true, rules: SPLICING, capacity: 8 })
    const listener = bench.listen(5000, 53)
    bench.fromAnyone(listener, server, 1, own, pattern(1))
    bench.fromAnyone(listener, loopback, 1, loopback, pattern(2))
    expect(bench.guest.datagrams.map(({ payload: bytes }) => bytes.length)).toEqual([1])
    expect(bench.namespace.sockets.map(({ datagrams }) => datagrams[0].length)).toEqual([2])
    bench.fromAnyone(listener, server, 2, own, pattern(3))
    bench.fromAnyone(listener, server, 3, own, pattern(4))
    expect([bench.sockets.openSockets, bench.namespace.openSockets]).toEqual([1, 0])
    expect(bench.flows.size).toBe(2)
  })

  test("the guest's flows share the port of no listener inside its namespace", () => {
    const bench = new Bench({ hasLocalPath: true, rules: SPLICING })
    bench.listen(5000, 5000, {}, undefined, Interface.splice)
    bench.fromGuest(guest, 5000, server, 53, { payload })
    expect(bench.sockets.opened.map(({ forwardingPort }) => forwardingPort)).toEqual([5000])
    bench.stack.abortFlows()
    const listener = bench.listen(5000)
    bench.fromGuest(guest, 5000, server, 54, { payload })
    expect(listener.datagrams).toEqual([payload])
  })

  test("a flow of the guest's doesn't take the port of a spliced one to the same correspondent", () => {
    const bench = new Bench({
      hasLocalPath: true,
      rules: {
        v4: { hostLoopback: Address.parse("192.0.2.254") },
        v6: { hostLoopback: Address.parse("2001:db8::fe") },
        splicing: { takesFromHost: true, keepsLoopback: true, isOnly: false },
      },
    })
    const listener = bench.listen(5000)
    bench.fromAnyone(listener, loopback, 9, loopback, payload)
    bench.fromGuest(guest, 5000, isV4 ? "192.0.2.254" : "2001:db8::fe", 9, { payload: pattern(3) })
    const [, opened] = bench.sockets.sockets
    expect([listener.datagrams, opened.datagrams]).toEqual([[], [pattern(3)]])
    expect(bench.flows.size).toBe(2)
  })

  test("listeners inside the namespace are heard while the guest is congested, those of the host wait for it", () => {
    const bench = new Bench({ hasLocalPath: true, rules: SPLICING })
    const inside = bench.listen(5000, 53, {}, undefined, Interface.splice)
    const outside = bench.listen(6000, 53)
    bench.guest.isCongested = true
    bench.fromAnyone(inside, loopback, 1, loopback, pattern(1))
    bench.fromAnyone(outside, loopback, 1, loopback, pattern(2))
    expect([bench.sockets.sockets.length, bench.namespace.sockets.length]).toEqual([2, 1])
    bench.guest.isCongested = false
    bench.stack.resume()
    expect([bench.sockets.sockets.length, bench.namespace.sockets.length]).toEqual([2, 2])
  })
})

describe("without a local path", () => {
  test("nobody listens inside a namespace", () => {
    const bench = new Bench({ rules: SPLICING })
    expect(() => bench.listen(5000, 53, {}, undefined, Interface.splice)).toThrow(`${-Errno.EPROTONOSUPPORT}`)
  })

  test("what would be spliced is counted", () => {
    const bench = new Bench({ rules: SPLICING })
    bench.fromAnyone(bench.listen(5000, 53), "127.0.0.1", 1, "127.0.0.1", payload)
    expect(bench.drops.entries()).toEqual([["udp: host has no way there", 1]])
    expect([bench.sockets.openSockets, bench.flows.size]).toEqual([1, 0])
  })
})

test("nobody listens on the tap", () => {
  const bench = new Bench({ hasLocalPath: true, rules: SPLICING })
  expect(() => bench.listen(5000, 53, {}, undefined, Interface.tap)).toThrow(`${-Errno.EPROTONOSUPPORT}`)
})
