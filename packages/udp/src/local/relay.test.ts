import { Errno, ErrorOrigin, Interface, SocketEvent } from "@demiflow/core"
import { sameBytes } from "@demiflow/testkit"
import { describe, expect, test } from "vitest"
import { pattern } from "../test-support/bench.ts"
import type { ScriptedSocket } from "../test-support/scripted-host.ts"
import { directions, refOf, splicingBench } from "../test-support/splicing.ts"
import { cut } from "../test-support/strict-guest.ts"

const many = (count: number, length = 10) => Array.from({ length: count }, (_, index) => pattern(length, index))
/** Compares arrays for which `toEqual` would take seconds. */
const areSame = (some: readonly Uint8Array[], others: readonly Uint8Array[]) =>
  some.length === others.length && some.every((bytes, index) => sameBytes(bytes, others[index]))

describe.each(directions)("datagrams from socket to socket, $name", (direction) => {
  test("go both ways, many by one call, from where they were received to", () => {
    const { bench, begin, deliver } = splicingBench(direction)
    const { answering, opened } = begin(1234)
    const there = [pattern(3), pattern(0), pattern(65_507, 9), pattern(700)]
    deliver(answering, ...there)
    expect(areSame(opened.datagrams, there)).toBe(true)
    const back = many(60, 10_000)
    deliver(opened, ...back)
    expect(areSame(answering.datagrams, back)).toBe(true)
    expect(opened.receivingCalls).toEqual([2, 4, 8, 16, 32])
    expect(answering.sendingCalls).toEqual([2, 4, 8, 16, 30])
    expect(new Set(answering.sent.slice(-30).map(({ offset }) => offset)).size).toBe(30)
    expect(bench.drops.total).toBe(0)
    expect(bench.guest.sent).toEqual([])
  })

  test("go together, and are cut at the other end, if neighbours are of one size", () => {
    const { bench, begin, deliver } = splicingBench(direction)
    const { answering, opened } = begin(1234)
    // Receive calls have 2, 4, 8, 16, 32 entries.
    const all = [...many(60, 1400), pattern(1), pattern(2)]
    deliver(answering, ...all)
    expect(opened.sent.map(({ bytes, segmentSize }) => [bytes.length, segmentSize])).toEqual([
      ...[2, 4, 8, 16].map((count) => [count * 1400, 1400]),
      [30 * 1400 + 1, 1400],
      [2, 0],
    ])
    expect(areSame(opened.datagrams, all)).toBe(true)
    expect(bench.drops.total).toBe(0)
  })

  test("go together where they came together, and one alone is one alone", () => {
    const { begin, deliver } = splicingBench(direction)
    const { answering, opened } = begin(1234)
    deliver(
      answering,
      { bytes: pattern(2500), segmentSize: 1000 },
      { bytes: pattern(10), segmentSize: 0 },
      { bytes: pattern(20), segmentSize: 20 },
      { bytes: pattern(64_000), segmentSize: 1000 },
    )
    expect(opened.sent.map(({ bytes, segmentSize }) => [bytes.length, segmentSize])).toEqual([
      [2500, 1000],
      [10, 0],
      [20, 0],
      [64_000, 1000],
    ])
    expect(opened.datagrams[0]).toEqual(pattern(1000))
  })

  test("are counted if their end was cut off; of several left together the whole ones go on", () => {
    const { bench, begin, deliver } = splicingBench(direction)
    const { answering, opened } = begin(1234)
    deliver(
      answering,
      pattern(1),
      pattern(65_508),
      pattern(2),
      { bytes: pattern(65_520), segmentSize: 6000 },
      pattern(3),
    )
    expect(opened.datagrams.map(({ length }) => length)).toEqual([1, 2, ...Array(10).fill(6000), 3])
    deliver(answering, pattern(65_527))
    expect(bench.drops.entries()).toEqual([["udp: too large for the local path", 3]])
    expect(opened.sendingCalls).toHaveLength(2)
  })

  test("are lost where the send queue has no room, one by one counted, and later ones go on", () => {
    const { bench, begin, deliver } = splicingBench(direction)
    const { answering, opened } = begin(1234)
    opened.sendingAnswers.push(1, -Errno.EAGAIN)
    deliver(answering, pattern(1), { bytes: pattern(5), segmentSize: 2 })
    expect(opened.datagrams).toEqual([pattern(1)])
    expect(bench.drops.entries()).toEqual([["udp: host's queue full", 3]])
    opened.sendingAnswers.push(-Errno.ENOBUFS)
    deliver(answering, pattern(3), pattern(4))
    expect(opened.datagrams).toEqual([pattern(1), pattern(4)])
    expect(bench.drops.entries()).toEqual([["udp: host's queue full", 4]])
  })

  test("are counted, or offered again, if they go apart and one of them is refused", () => {
    const { bench, begin, deliver } = splicingBench(direction)
    const { answering, opened } = begin(1234)
    const together = { bytes: pattern(10), segmentSize: 1 }
    opened.sendingAnswers.push(-Errno.EAGAIN)
    opened.sentBeforeRefusal.push(7)
    deliver(answering, together)
    expect(opened.datagrams).toHaveLength(7)
    expect(bench.drops.entries()).toEqual([["udp: host's queue full", 3]])
    opened.sendingAnswers.push(-Errno.ECONNREFUSED, -Errno.ECONNREFUSED)
    opened.sentBeforeRefusal.push(4, 3)
    deliver(answering, together)
    expect(opened.datagrams).toHaveLength(7 + 10)
    expect(bench.drops.total).toBe(3)
  })

  test("get over what is reported about earlier ones, in either direction", () => {
    const { bench, begin, deliver } = splicingBench(direction)
    const { answering, opened } = begin(1234)
    const refused = { errno: Errno.ECONNREFUSED, origin: ErrorOrigin.icmp }
    opened.errors.push(refused)
    opened.sendingAnswers.push(-Errno.ECONNREFUSED)
    deliver(answering, pattern(1), pattern(2))
    expect(opened.datagrams).toEqual([pattern(1), pattern(2)])
    expect(opened.errors).toEqual([])
    opened.errors.push(refused, refused)
    opened.receivingAnswers.push(-Errno.ECONNREFUSED)
    deliver(opened, pattern(3))
    expect(answering.datagrams).toEqual([pattern(3)])
    expect(opened.errors).toEqual([])
    opened.receivingAnswers.push(-Errno.ECONNREFUSED)
    deliver(opened, pattern(4))
    expect(answering.datagrams).toEqual([pattern(3), pattern(4)])
    expect(bench.drops.entries()).toEqual([["udp: not delivered on the local path", 4]])
  })

  test("get over one such report after another, each datagram by itself", () => {
    const { bench, begin, deliver } = splicingBench(direction)
    const { answering, opened } = begin(1234)
    opened.sendingAnswers.push(-Errno.ECONNREFUSED, 1, -Errno.ECONNREFUSED, 1, -Errno.EHOSTUNREACH)
    deliver(answering, pattern(1), pattern(2))
    deliver(answering, pattern(3), pattern(4))
    expect(opened.datagrams).toEqual([pattern(1), pattern(2), pattern(3), pattern(4)])
    expect(bench.drops.total).toBe(0)
  })

  test("are counted where they are refused for good, with what the host itself says about that", () => {
    const { bench, begin, deliver } = splicingBench(direction)
    const { answering, opened } = begin(1234)
    opened.errors.push({ errno: Errno.EMSGSIZE, origin: ErrorOrigin.host, information: 1500 })
    opened.sendingAnswers.push(-Errno.EMSGSIZE, -Errno.EMSGSIZE)
    deliver(answering, pattern(2000), pattern(2001))
    expect(opened.datagrams).toEqual([pattern(2001)])
    expect(opened.errors).toEqual([])
    expect(bench.drops.entries()).toEqual([["udp: refused by the host", 1]])
  })

  test("an event of an error empties the error queue of that side", () => {
    const { bench, begin } = splicingBench(direction)
    const { answering, opened } = begin(1234)
    const destination = { address: direction.loopback, port: 1234 }
    const errors = Array.from({ length: 5 }, () => ({
      errno: Errno.ECONNREFUSED,
      origin: ErrorOrigin.icmp,
      source: direction.loopback,
      destination,
    }))
    answering.errors.push(...errors)
    bench.stack.fromListener(refOf(answering), SocketEvent.error)
    opened.errors.push(...errors)
    bench.event(opened, SocketEvent.error)
    expect([answering.errors, opened.errors]).toEqual([[], []])
    expect(bench.drops.entries()).toEqual([["udp: not delivered on the local path", 10]])
    expect(bench.guest.sent).toEqual([])
  })

  test("a socket that reports nothing but errors doesn't hold up the turn", () => {
    const { bench, begin, deliver } = splicingBench(direction)
    const { answering, opened } = begin(1234)
    opened.receivingAnswers.push(...Array.from({ length: 100 }, () => -Errno.ECONNREFUSED))
    deliver(opened, pattern(1))
    expect(opened.receivingAnswers.length).toBeGreaterThan(50)
    bench.advance(0)
    expect(answering.datagrams).toEqual([pattern(1)])
    expect(bench.drops.entries()).toEqual([["udp: not delivered on the local path", 100]])
  })

  test("that a socket has room again is no reason to read", () => {
    const { bench, begin } = splicingBench(direction)
    const { answering } = begin(1234)
    answering.incoming.push({ bytes: pattern(1), segmentSize: 0 })
    bench.stack.fromListener(refOf(answering), SocketEvent.writable)
    expect(answering.receivingCalls).toEqual([])
  })

  test("have a budget for each turn, by number and by bytes, and are carried on with in turns", () => {
    const { bench, begin, deliver } = splicingBench(direction)
    const flows = [begin(1), begin(2)]
    const { answering } = flows[0]
    for (const { opened } of flows) deliver(opened, ...many(400))
    const sentTo = (port: number) => answering.sent.filter(({ to }) => to.correspondentPort === port)
    const back = (port: number) => sentTo(port).flatMap(({ bytes, segmentSize }) => cut(bytes, segmentSize))
    const firsts = [1, 2].map((port) => back(port).length)
    for (const first of firsts) {
      expect(first).toBeGreaterThanOrEqual(100)
      expect(first).toBeLessThan(200)
    }
    bench.stack.expire(bench.clock.now)
    for (const port of [1, 2]) {
      expect(back(port).length).toBeGreaterThan(128)
      expect(back(port).length).toBeLessThan(400)
    }
    bench.advance(0)
    for (const port of [1, 2]) expect(areSame(back(port), many(400))).toBe(true)
    const large = Array.from({ length: 40 }, (_, index) => pattern(64_000, index))
    deliver(flows[0].opened, ...large)
    expect((back(1).length - 400) * 64_000).toBeLessThan(2e6)
    bench.advance(0)
    expect(areSame(back(1).slice(400), large)).toBe(true)
  })

  test("go on while the guest is congested, but for what arrives on the host: that may be for the guest", () => {
    const { bench, begin, deliver } = splicingBench(direction)
    const { answering, opened } = begin(1234)
    bench.guest.isCongested = true
    deliver(answering, ...many(500))
    bench.advance(0)
    deliver(opened, ...many(300))
    bench.advance(0)
    const waits = direction.place === Interface.host
    expect([opened.datagrams.length, answering.datagrams.length]).toEqual([waits ? 0 : 500, 300])
    bench.guest.isCongested = false
    bench.stack.resume()
    bench.advance(0)
    expect(opened.datagrams).toHaveLength(500)
  })

  test("a side that waits when its flow ends is left alone, and the next flow asks for little at first", () => {
    const { bench, begin, deliver } = splicingBench(direction)
    const { answering, opened } = begin(1234)
    deliver(opened, ...many(500))
    bench.stack.abortFlows()
    const sent = answering.datagrams.length
    bench.advance(10)
    expect(answering.datagrams).toHaveLength(sent)
    expect([answering, opened].map(({ isOpen }: ScriptedSocket) => isOpen)).toEqual([true, false])
    const next = begin(1234)
    deliver(next.opened, pattern(1))
    expect(next.opened.receivingCalls).toEqual([2])
  })
})
