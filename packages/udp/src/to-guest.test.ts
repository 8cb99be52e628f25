import { CHECKSUM_DONE, Errno, SocketEvent, UDP_CHECKSUM, UDP_HEADER_LENGTH } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { Bench, type BenchOptions, pattern } from "./test-support/bench.ts"
import { families } from "./test-support/families.ts"
import { cut } from "./test-support/strict-guest.ts"

describe.each(Object.entries(families))("from the host over %s", (name, { guest, other, server }) => {
  const isV4 = name === "IPv4"

  function connected(options: BenchOptions = {}): Bench {
    const bench = new Bench(options)
    bench.fromGuest(guest, 40_000, server, 53, { payload: pattern(1) })
    return bench
  }

  const payloads = (bench: Bench) => bench.guest.datagrams.map(({ payload }) => payload)

  const lengths = (bench: Bench) => payloads(bench).map(({ length }) => length)
  const firstBytes = (bench: Bench) => payloads(bench).map(([byte]) => byte)

  test("a reply gets a header from where the guest sent to, and leaves its checksum to the link", () => {
    const bench = connected()
    bench.fromHost(bench.socket, pattern(300, 9))
    expect(bench.guest.sent).toHaveLength(1)
    const [{ tap, bytes, checksumOffset, segmentSize }] = bench.guest.sent
    expect(`${tap}`).toBe(
      isV4 ? "tap 198.51.100.7:53 → 192.0.2.2:40000" : "tap [2001:db8:1::7]:53 → [2001:db8::2]:40000",
    )
    expect([...bytes.subarray(0, 6)]).toEqual([0, 53, 40_000 >> 8, 40_000 & 255, 308 >> 8, 308 & 255])
    expect(bytes.subarray(UDP_HEADER_LENGTH)).toEqual(pattern(300, 9))
    expect({ checksumOffset, segmentSize }).toEqual({ checksumOffset: UDP_CHECKSUM, segmentSize: 0 })
    expect(checksumOffset).not.toBe(CHECKSUM_DONE)
    expect(bench.guest.openPackets).toBe(0)
  })

  test("a handler that gets the source address of packets replies to each source its own", () => {
    const bench = connected()
    bench.fromGuest(other, 40_000, server, 53, { payload: pattern(1) })
    const [first, second] = bench.sockets.sockets
    bench.fromHost(second, pattern(2))
    bench.fromHost(first, pattern(1))
    expect(bench.guest.datagrams.map(({ tap }) => `${tap.correspondentAddress}`)).toEqual([other, guest])
  })

  test("the destination of every packet to the guest is filled in per packet", () => {
    const bench = connected()
    bench.fromGuest(other, 40_001, server, 53, { payload: pattern(1) })
    const [first, second] = bench.sockets.sockets
    for (const [index, socket] of [first, second, first, second].entries()) bench.fromHost(socket, pattern(index))
    expect(bench.guest.datagrams.map(({ tap, payload }) => [`${tap.correspondentAddress}`, payload.length])).toEqual([
      [guest, 0],
      [other, 1],
      [guest, 2],
      [other, 3],
    ])
  })

  test("each flow tracks the guest's own address, whatever address was seen last", () => {
    const bench = connected()
    const lastSeen = isV4 ? bench.guest.lastSeenV4 : bench.guest.lastSeenV6
    lastSeen.word3 ^= 0x55
    bench.fromHost(bench.socket, pattern(4))
    expect(`${bench.guest.datagrams[0].tap.correspondentAddress}`).toBe(guest)
  })

  test("datagrams of all sizes come through, the empty and the largest one included", () => {
    const bench = connected()
    const sizes = [0, 1, 1472, 1473, 65_507]
    bench.fromHost(bench.socket, ...sizes.map((size) => pattern(size, size)))
    expect(lengths(bench)).toEqual(sizes)
    expect(firstBytes(bench)).toEqual(sizes.map((size) => (size === 0 ? undefined : size & 0xff)))
  })

  test("a single reply takes one call", () => {
    const bench = connected()
    bench.fromHost(bench.socket, pattern(4))
    expect(bench.socket.receivingCalls).toEqual([2])
  })

  test("many datagrams take few calls", () => {
    const bench = connected({ room: 5 << 20 })
    const many = Array.from({ length: 61 }, (_, index) => pattern(10, index))
    bench.fromHost(bench.socket, ...many)
    expect(bench.socket.receivingCalls).toEqual([2, 4, 8, 16, 32])
    expect(payloads(bench)).toEqual(many)
    expect(bench.guest.openPackets).toBe(0)
  })

  test("many datagrams take few calls, though the link's memory has room for few of the largest", () => {
    const bench = connected({ room: 20 * 66_000 })
    const many = Array.from({ length: 120 }, (_, index) => pattern(10, index))
    bench.fromHost(bench.socket, ...many)
    expect(bench.socket.receivingCalls.slice(0, 4)).toEqual([2, 4, 8, 16])
    expect(Math.min(...bench.socket.receivingCalls.slice(4))).toBeGreaterThan(10)
    expect(payloads(bench)).toEqual(many)
  })

  test("a flood gives way to others after each budget, and is carried on with", () => {
    const bench = connected()
    const many = Array.from({ length: 1000 }, (_, index) => pattern(10, index))
    bench.fromHost(bench.socket, ...many)
    const first = bench.guest.datagrams.length
    expect(first).toBeGreaterThan(100)
    expect(first).toBeLessThan(300)
    expect(bench.stack.nextDeadline()).toBe(bench.clock.now)
    bench.stack.expire(bench.clock.now)
    expect(bench.guest.datagrams.length).toBeGreaterThan(first)
    expect(bench.guest.datagrams.length).toBeLessThan(1000)
    bench.advance(0)
    expect(payloads(bench)).toEqual(many)
    bench.advance(1000)
    expect(bench.stack.nextDeadline()).toBeGreaterThan(bench.clock.now)
  })

  test("a flow that ends while it waits for its next turn is left alone", () => {
    const bench = connected()
    bench.fromHost(bench.socket, ...Array.from({ length: 1000 }, () => pattern(10)))
    const before = bench.guest.sent.length
    bench.stack.abortFlows()
    bench.advance(10)
    expect(bench.guest.sent).toHaveLength(before)
    expect(bench.sockets.openSockets).toBe(0)
  })

  test("without room at the link, datagrams stay with the host, and come when there is room", () => {
    const bench = connected({ room: 200_000 })
    bench.guest.isStuck = true
    const many = Array.from({ length: 10 }, (_, index) => pattern(60_000, index))
    bench.fromHost(bench.socket, ...many)
    expect(firstBytes(bench)).toEqual([0, 1, 2])
    bench.advance(50)
    expect(bench.guest.sent).toHaveLength(3)
    bench.guest.isStuck = false
    bench.advance(50)
    expect(firstBytes(bench)).toEqual(many.map(([byte]) => byte))
    expect(bench.drops.total).toBe(0)
  })

  test("with little room, the link is given its packets in between", () => {
    const bench = connected({ room: 140_000 })
    const many = Array.from({ length: 9 }, (_, index) => pattern(60_000, index))
    bench.fromHost(bench.socket, ...many)
    bench.advance(1)
    expect(firstBytes(bench)).toEqual(many.map(([byte]) => byte))
  })

  test("datagrams that the host has together are left to the guest's side to cut", () => {
    for (const udpSegmentation of [true, false]) {
      const bench = connected({ udpSegmentation })
      bench.socket.incoming.push({ bytes: pattern(2500), segmentSize: 1000 }, { bytes: pattern(7), segmentSize: 7 })
      bench.event(bench.socket, SocketEvent.readable)
      expect(bench.guest.sent.map(({ segmentSize }) => segmentSize)).toEqual([1000, 0])
      expect(bench.guest.sent[0].headerLength).toBe(UDP_HEADER_LENGTH)
      expect(payloads(bench)).toEqual([...cut(pattern(2500), 1000), pattern(7)])
    }
  })

  test("neighbours of one size are put together if the link cuts them", () => {
    // Receive calls have 2, 4, 8, 16 entries: the last two of these receive what is checked.
    const before = [1, 2, 3, 4, 5, 6].map((length) => pattern(length))
    const lengths = [10, 10, 10, 4, 4, 4, 0, 0, 1400, 1400, 1473, 1473, 6, 7]
    const received = lengths.map((length, seed) => pattern(length, seed))
    const alone = lengths.map((length) => [length, 0])
    const together = [
      [34, 10],
      [8, 4],
      [0, 0],
      [0, 0],
    ]
    for (const udpSegmentation of [true, false]) {
      const bench = connected({ udpSegmentation })
      bench.fromHost(bench.socket, ...before, ...received)
      expect(payloads(bench)).toEqual([...before, ...received])
      const sent = bench.guest.sent
        .slice(before.length)
        .map(({ bytes, segmentSize }) => [bytes.length - 8, segmentSize])
      expect(sent.slice(0, 4)).toEqual(udpSegmentation ? together : alone.slice(0, 4))
      expect(sent.slice(-5)).toEqual([udpSegmentation ? [2800, 1400] : [1400, 0], ...alone.slice(-4)])
      expect(bench.guest.openPackets).toBe(0)
    }
  })

  test("what the host has together leaves together with more of that size, if the link cuts it", () => {
    const lengths = [100, 12_000, 12_000, 12_000, 12_000, 12_000, 12_000, 700, 2400]
    const segmentSizes = [0, 1200, 1200, 1200, 1200, 1200, 1200, 0, 1300]
    for (const udpSegmentation of [true, false]) {
      const bench = connected({ udpSegmentation, room: 5 << 20 })
      const incoming = lengths.map((length, seed) => ({
        bytes: pattern(length, seed),
        segmentSize: segmentSizes[seed],
      }))
      // Receive calls have 2, 4, 8 entries.
      bench.socket.incoming.push(
        ...Array.from({ length: 6 }, () => ({ bytes: pattern(0), segmentSize: 0 })),
        ...incoming,
      )
      bench.event(bench.socket, SocketEvent.readable)
      bench.advance(1)
      const sent = bench.guest.sent.slice(6).map(({ bytes, segmentSize }) => [bytes.length - 8, segmentSize])
      const together = [100, 60_000, 12_000 + 700, 2400]
      expect(sent.map(([length]) => length)).toEqual(udpSegmentation ? together : lengths)
      expect(payloads(bench).slice(6)).toEqual(incoming.flatMap(({ bytes, segmentSize }) => cut(bytes, segmentSize)))
      expect(bench.guest.openPackets).toBe(0)
    }
  })

  test("a datagram whose end was cut off is dropped; of several together, the complete ones are good", () => {
    const bench = connected()
    bench.socket.incoming.push(
      { bytes: pattern(65_508), segmentSize: 0 },
      { bytes: pattern(3), segmentSize: 0 },
      { bytes: pattern(65_520), segmentSize: 1092 },
    )
    bench.event(bench.socket, SocketEvent.readable)
    bench.advance(1)
    expect(lengths(bench)).toEqual([3, ...Array.from({ length: 59 }, () => 1092)])
    expect(payloads(bench)[59].at(-1)).toBe(pattern(65_520)[59 * 1092 - 1])
    expect(bench.drops.entries()).toEqual([["udp: too large for the guest", 2]])
  })

  test("a pending error is got over", () => {
    const bench = connected()
    bench.socket.receivingAnswers.push(-Errno.ECONNREFUSED)
    bench.fromHost(bench.socket, pattern(5))
    expect(payloads(bench)).toEqual([pattern(5)])
    expect(bench.guest.openPackets).toBe(0)
  })

  test("a socket that reports nothing but errors does not hold up the turn", () => {
    const bench = connected()
    bench.socket.receivingAnswers.push(...Array.from({ length: 100 }, () => -Errno.ENETDOWN))
    bench.fromHost(bench.socket, pattern(5))
    expect(bench.socket.receivingAnswers.length).toBeGreaterThan(50)
    bench.advance(0)
    expect(payloads(bench)).toEqual([pattern(5)])
  })

  test("spurious events do no harm", () => {
    const bench = connected()
    bench.event(bench.socket, SocketEvent.readable | SocketEvent.writable | SocketEvent.error | SocketEvent.hangUp)
    expect(bench.guest.sent).toEqual([])
    expect(bench.guest.openPackets).toBe(0)
  })
})
