import { Errno } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { Bench, icmpErrors, pattern } from "./test-support/bench.ts"
import { families } from "./test-support/families.ts"
import { cut } from "./test-support/strict-guest.ts"

describe.each(Object.entries(families))("from the guest over %s", (name, { guest, other, server }) => {
  const isV4 = name === "IPv4"

  test("the first datagram opens a socket to where it goes, with the guest's port, and is sent from where it lies", () => {
    const bench = new Bench()
    const [offset] = bench.fromGuest(guest, 40_000, server, 53, { payload: pattern(33) })
    expect(bench.sockets.opened.map(String)).toEqual([
      isV4 ? "host 0.0.0.0:40000 → 198.51.100.7:53" : "host [::]:40000 → [2001:db8:1::7]:53",
    ])
    expect(bench.socket.sent).toMatchObject([
      { bytes: pattern(33), segmentSize: 0, offset, hopLimit: 64, trafficClass: 0, dontFragment: false },
    ])
    expect(bench.flows.size).toBe(1)
    expect(bench.drops.total).toBe(0)
  })

  test("later datagrams of the flow take the same socket, a whole sequence in one call", () => {
    const bench = new Bench()
    bench.fromGuest(guest, 40_000, server, 53, { payload: pattern(1) })
    const payloads = [0, 1, 1472, 65_507].map((length) => pattern(length, 3))
    bench.fromGuest(guest, 40_000, server, 53, ...payloads.map((payload) => ({ payload })))
    expect(bench.sockets.sockets).toHaveLength(1)
    expect(bench.socket.sendingCalls).toEqual([1, 4])
    expect(bench.socket.sent.slice(1).map(({ bytes }) => bytes)).toEqual(payloads)
  })

  test("a sequence longer than a batch is sent whole and in order", () => {
    const bench = new Bench()
    const datagrams = Array.from({ length: 150 }, (_, index) => ({ payload: pattern(8, index) }))
    bench.fromGuest(guest, 40_000, server, 53, ...datagrams)
    expect(bench.socket.datagrams).toEqual(datagrams.map(({ payload }) => payload))
  })

  test("neighbours of one size are put together, 64 at most, and a shorter one ends it", () => {
    const bench = new Bench()
    const lengths = [100, 100, 40, 40, 100, ...Array.from({ length: 70 }, () => 8), 0, 0, 9001, 9001]
    bench.fromGuest(guest, 40_000, server, 53, ...lengths.map((length, seed) => ({ payload: pattern(length, seed) })))
    expect(bench.socket.sendingCalls).toEqual([9])
    expect(bench.socket.sent.map(({ bytes, segmentSize }) => [bytes.length, segmentSize])).toEqual([
      [240, 100],
      [40, 0],
      [108, 100],
      [512, 8],
      [40, 8],
      [0, 0],
      [0, 0],
      [9001, 0],
      [9001, 0],
    ])
    expect(bench.socket.datagrams).toEqual(lengths.map((length, seed) => pattern(length, seed)))
  })

  test("what is put together is no larger than one datagram may be, and leaves in several calls if it is much", () => {
    const bench = new Bench({ frameBytes: 2 << 20 })
    const datagrams = Array.from({ length: 200 }, (_, seed) => ({ payload: pattern(9000, seed) }))
    bench.fromGuest(guest, 40_000, server, 53, ...datagrams)
    const { sent } = bench.socket
    expect(Math.max(...sent.map(({ bytes }) => bytes.length))).toBe(63_000)
    expect(bench.socket.datagrams.map(([byte]) => byte)).toEqual(datagrams.map(({ payload }) => payload[0]))
  })

  test("what is put together and refused costs two calls, is counted whole, and has one error report its first", () => {
    const bench = new Bench()
    bench.fromGuest(guest, 40_000, server, 53, { payload: pattern(9) })
    bench.socket.sendingAnswers.push(-Errno.EPERM, -Errno.EPERM)
    const datagrams = Array.from({ length: 64 }, (_, seed) => ({ payload: pattern(50, seed) }))
    bench.fromGuest(guest, 40_000, server, 53, ...datagrams)
    expect(bench.socket.sendingCalls).toEqual([1, 1, 1])
    expect(bench.drops.entries()).toEqual([["udp: refused by the host", 64]])
    const [error, ...others] = icmpErrors(bench.guest)
    expect(others).toEqual([])
    expect(error.quoted.subarray(8)).toEqual(pattern(50, 0))
    // The refusal may have been momentary.
    bench.fromGuest(guest, 40_000, server, 53, ...datagrams)
    expect(bench.socket.sendingCalls).toEqual([1, 1, 1, 1])
    expect(bench.socket.datagrams.slice(1)).toEqual(datagrams.map(({ payload }) => payload))
  })

  test("two guest addresses with the same port are two flows", () => {
    const bench = new Bench()
    bench.fromGuest(guest, 40_000, server, 53, { payload: pattern(1, 1) })
    bench.fromGuest(other, 40_000, server, 53, { payload: pattern(1, 2) })
    bench.fromGuest(guest, 40_000, server, 53, { payload: pattern(1, 3) })
    expect(bench.sockets.sockets.map(({ sent }) => sent.map(({ bytes }) => bytes[0]))).toEqual([[1, 3], [2]])
  })

  test("datagrams that the guest's offload left together go on as one entry", () => {
    const bench = new Bench()
    bench.fromGuest(guest, 40_000, server, 53, { payload: pattern(2500), segmentSize: 1000 })
    bench.fromGuest(guest, 40_000, server, 53, { payload: pattern(1000), segmentSize: 1000 })
    expect(bench.socket.sent).toMatchObject([
      { bytes: pattern(2500), segmentSize: 1000 },
      { bytes: pattern(1000), segmentSize: 0 },
    ])
  })

  test("what the offload left together goes on together if it is of one size, up to 64 KiB", () => {
    const bench = new Bench({ frameBytes: 1 << 20 })
    const lengths = [12_000, 12_000, 12_000, 12_000, 12_000, 12_000, 3000, 1300, 1200, 500, 2400, 2600, 1300]
    const segmentSizes = [1200, 1200, 1200, 1200, 1200, 1200, 1200, 0, 0, 0, 1200, 1300, 0]
    const datagrams = lengths.map((length, seed) => ({
      payload: pattern(length, seed),
      segmentSize: segmentSizes[seed],
    }))
    bench.fromGuest(guest, 40_000, server, 53, ...datagrams)
    expect(bench.socket.sent.map(({ bytes, segmentSize }) => [bytes.length, segmentSize])).toEqual([
      [60_000, 1200],
      [15_000, 1200],
      [2500, 1300],
      [500, 0],
      [2400, 1200],
      [3900, 1300],
    ])
    expect(bench.socket.datagrams).toEqual(datagrams.flatMap(({ payload, segmentSize }) => cut(payload, segmentSize)))
    expect(bench.socket.sendingCalls).toEqual([6])
  })

  test("what the offload left together is the host's to send apart, however many they are", () => {
    const bench = new Bench()
    const payload = pattern(3 * 70 + 1)
    bench.fromGuest(guest, 40_000, server, 53, { payload, segmentSize: 3 })
    expect(bench.socket.sent).toMatchObject([{ bytes: payload, segmentSize: 3 }])
    expect(bench.socket.datagrams).toEqual(cut(payload, 3))
    expect(bench.drops.total).toBe(0)
  })

  test("each datagram leaves with the hop limit that it came with", () => {
    const bench = new Bench()
    const payload = pattern(4)
    bench.fromGuest(guest, 40_000, server, 53, { payload, hopLimit: 64 })
    bench.fromGuest(guest, 40_000, server, 53, ...[64, 1, 1, 2, 255].map((hopLimit) => ({ payload, hopLimit })))
    expect(bench.socket.sent.map(({ hopLimit }) => hopLimit)).toEqual([64, 64, 1, 2, 255])
    expect(bench.socket.sent.map(({ bytes }) => bytes.length)).toEqual([4, 4, 8, 4, 4])
  })

  test('so it is with the traffic class and with "don\'t fragment"', () => {
    const bench = new Bench()
    const marks = [
      [0, false],
      [0xb8, false],
      [0xb8, true],
      [0xb8, true],
      [0x02, true],
      [0, false],
    ] as const
    const datagrams = marks.map(([trafficClass, dontFragment]) => ({ payload: pattern(4), trafficClass, dontFragment }))
    bench.fromGuest(guest, 40_000, server, 53, ...datagrams)
    const { sent, fragmentationCalls } = bench.socket
    // Adjacent datagrams with equal marks are coalesced.
    expect(sent.map(({ trafficClass, dontFragment }) => [trafficClass, dontFragment])).toEqual(
      marks.filter((_, index) => index !== 3),
    )
    expect(sent.map(({ bytes }) => bytes.length)).toEqual([4, 4, 8, 4, 4])
    expect(fragmentationCalls).toBe(3)
  })

  test("flows of one port whose marks differ cost a call for each sequence, and no other", () => {
    const bench = new Bench()
    const flows = [
      { to: "198.51.100.7", hopLimit: 64, trafficClass: 2 },
      { to: "198.51.100.8", hopLimit: 63, trafficClass: 0 },
    ]
    for (let turn = 0; turn < 10; turn++) {
      for (const { to, hopLimit, trafficClass } of flows) {
        bench.fromGuest(guest, 40_000, to, 443, { payload: pattern(4), hopLimit, trafficClass })
      }
    }
    const { sent, sendingCalls, fragmentationCalls } = bench.socket
    expect(bench.sockets.sockets).toHaveLength(1)
    expect(sendingCalls).toHaveLength(20)
    // A host with further calls for marks would show here: the scripted one has none.
    expect(fragmentationCalls).toBe(1)
    expect(sent.slice(-2).map(({ hopLimit, trafficClass }) => [hopLimit, trafficClass])).toEqual([
      [64, 2],
      [63, 0],
    ])
  })

  test("a bad datagram among good ones is the only one dropped", () => {
    const bench = new Bench()
    const payload = pattern(20)
    const spoil = (packet: Uint8Array) => {
      packet[12] ^= 1
    }
    bench.fromGuest(guest, 40_000, server, 53, { payload }, { payload, spoil }, { payload, available: 5 }, { payload })
    expect(bench.socket.datagrams).toHaveLength(2)
    expect(bench.drops.entries()).toEqual([
      ["udp: truncated header", 1],
      ["udp: bad checksum", 1],
    ])
  })

  test("bad datagrams alone open no flow", () => {
    const bench = new Bench()
    bench.fromGuest(guest, 40_000, server, 53, { payload: pattern(20), hopLimit: 0 })
    expect(bench.flows.size).toBe(0)
    expect(bench.sockets.opened).toEqual([])
    expect(bench.drops.entries()).toEqual([["udp: hop limit 0", 1]])
  })

  test("nothing goes to port 0", () => {
    const bench = new Bench()
    bench.fromGuest(guest, 40_000, server, 0, { payload: pattern(1) }, { payload: pattern(1) })
    expect(bench.sockets.opened).toEqual([])
    expect(bench.drops.entries()).toEqual([["udp: port 0", 2]])
  })

  test("what goes to a group leaves, with its hop limit", () => {
    const bench = new Bench()
    const group = isV4 ? "224.0.0.251" : "ff02::fb"
    bench.fromGuest(guest, 5353, group, 5353, { payload: pattern(1), hopLimit: 255 })
    expect(bench.sockets.opened.map(String)[0]).toBe(
      isV4 ? "host 0.0.0.0:5353 → 224.0.0.251:5353" : "host [::]:5353 → [ff02::fb]:5353",
    )
    expect(bench.sockets.sockets[0].sent).toMatchObject([{ bytes: pattern(1), hopLimit: 255 }])
    expect(bench.drops.total).toBe(0)
  })

  test("nothing goes to everybody, to a group inside the guest, or to DHCPv6 servers", () => {
    const bench = new Bench()
    const targets = isV4
      ? [["255.255.255.255", 5353]]
      : [
          ["ff01::fb", 5353],
          ["ff02::1:2", 547],
        ]
    for (const [address, port] of targets as [string, number][]) {
      bench.fromGuest(guest, 5353, address, port, { payload: pattern(1) }, { payload: pattern(1) })
    }
    expect(bench.sockets.opened).toEqual([])
    expect(bench.drops.entries()).toEqual([["forward: not a unicast address", 2 * targets.length]])
    expect(bench.guest.sent).toEqual([])
  })

  test("what the guest sent to a group does not come back to it at a forwarded port, what others send there does", () => {
    const bench = new Bench()
    const listening = bench.listen(5353)
    const own = isV4 ? "192.0.2.1" : "2001:db8::1"
    const another = isV4 ? "192.0.2.77" : "2001:db8::77"
    const heardAt = isV4 ? own : "::"
    bench.fromGuest(guest, 40_000, isV4 ? "224.0.0.251" : "ff02::fb", 5353, { payload: pattern(1) })
    bench.fromAnyone(listening, own, 40_000, heardAt, pattern(1))
    expect(bench.drops.entries()).toEqual([["udp: the guest's own, to a group", 1]])
    expect(bench.guest.datagrams).toEqual([])
    bench.fromAnyone(listening, another, 40_000, heardAt, pattern(2))
    expect(bench.guest.datagrams.map(({ payload }) => payload)).toEqual([pattern(2)])
    // Once the flow has ended, the port may be anybody's.
    bench.advance(200_000)
    bench.fromAnyone(listening, own, 40_000, heardAt, pattern(3))
    expect(bench.drops.entries()).toEqual([["udp: the guest's own, to a group", 1]])
  })

  test("what the send buffer has no room for is dropped and counted", () => {
    const bench = new Bench()
    bench.fromGuest(guest, 40_000, server, 53, { payload: pattern(1) })
    bench.socket.sendingAnswers.push(2, -Errno.EAGAIN)
    const lengths = [1, 2, 3, 4, 4, 4, 5]
    bench.fromGuest(guest, 40_000, server, 53, ...lengths.map((length) => ({ payload: pattern(length) })))
    expect(bench.socket.datagrams.map(({ length }) => length)).toEqual([1, 1, 2])
    expect(bench.drops.entries()).toEqual([["udp: host's queue full", 5]])
  })

  test("of what the host sends apart, what is refused is counted, or offered once more", () => {
    const bench = new Bench()
    const together = { payload: pattern(10), segmentSize: 1 }
    bench.fromGuest(guest, 40_000, server, 53, { payload: pattern(1) })
    bench.socket.sendingAnswers.push(-Errno.EAGAIN)
    bench.socket.sentBeforeRefusal.push(7)
    bench.fromGuest(guest, 40_000, server, 53, together)
    expect(bench.socket.datagrams).toHaveLength(1 + 7)
    expect(bench.drops.entries()).toEqual([["udp: host's queue full", 3]])
    // Errors of earlier datagrams: each may be returned after a part of the entry was sent.
    bench.socket.sendingAnswers.push(-Errno.ECONNREFUSED, -Errno.ECONNREFUSED)
    bench.socket.sentBeforeRefusal.push(4, 3)
    bench.fromGuest(guest, 40_000, server, 53, together)
    expect(bench.socket.datagrams).toHaveLength(1 + 7 + 10)
    expect(bench.drops.total).toBe(3)
  })

  test("the error about the last one of several is about no more than that one", () => {
    const bench = new Bench()
    bench.fromGuest(guest, 40_000, server, 53, { payload: pattern(1) })
    bench.socket.sendingAnswers.push(-Errno.ENETUNREACH, -Errno.ENETUNREACH)
    bench.socket.sentBeforeRefusal.push(2)
    bench.fromGuest(guest, 40_000, server, 53, { payload: pattern(240), segmentSize: 100 })
    expect(bench.socket.datagrams).toHaveLength(1 + 2)
    expect(bench.drops.entries()).toEqual([["udp: refused by the host", 1]])
    expect(icmpErrors(bench.guest).map(({ quoted }) => quoted.subarray(8))).toEqual([pattern(240).subarray(200)])
  })

  test("a full device queue costs what it was offered, and no more", () => {
    const bench = new Bench()
    bench.fromGuest(guest, 40_000, server, 53, { payload: pattern(1) })
    bench.socket.sendingAnswers.push(1, -Errno.ENOBUFS, 1, -Errno.ENOBUFS)
    const lengths = [1, 2, 3, 4, 4, 5]
    bench.fromGuest(guest, 40_000, server, 53, ...lengths.map((length) => ({ payload: pattern(length) })))
    expect(bench.socket.datagrams.map(({ length }) => length)).toEqual([1, 1, 3, 5])
    expect(bench.drops.entries()).toEqual([["udp: host's queue full", 3]])
  })

  test("a pending error of an earlier datagram costs this one nothing", () => {
    const bench = new Bench()
    bench.fromGuest(guest, 40_000, server, 53, { payload: pattern(1) })
    bench.socket.sendingAnswers.push(-Errno.ECONNREFUSED)
    bench.fromGuest(guest, 40_000, server, 53, { payload: pattern(2) }, { payload: pattern(3) })
    expect(bench.socket.sent.map(({ bytes }) => bytes.length)).toEqual([1, 2, 3])
    expect(bench.drops.total).toBe(0)
    expect(bench.guest.sent).toEqual([])
  })

  test("a datagram that the host refuses is counted, and the others are sent", () => {
    const bench = new Bench()
    bench.fromGuest(guest, 40_000, server, 53, { payload: pattern(1) })
    bench.socket.sendingAnswers.push(1, -Errno.EINVAL, -Errno.EINVAL)
    bench.fromGuest(guest, 40_000, server, 53, ...[1, 2, 3].map((length) => ({ payload: pattern(length) })))
    expect(bench.socket.sent.map(({ bytes }) => bytes.length)).toEqual([1, 1, 3])
    expect(bench.drops.entries()).toEqual([["udp: refused by the host", 1]])
  })
})
