import { setTimeout } from "node:timers/promises"
import { DatagramBatch, Errno, type SideRef } from "@demiflow/core"
import fc from "fast-check"
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest"
import { FakeRelay } from "./fake-relay.fixture.ts"
import { CloseReason, WispType } from "./packets.ts"
import { OWN_CREDIT } from "./wisp-relay.ts"

const KIBIBYTE = 1 << 10
const MEBIBYTE = 1 << 20
/** Memory of a connection with few bytes. */
const SMALLEST_RING = 16 << 10
const { connect, data, close, continue: credit } = WispType

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await setTimeout(1)
}

describe("beginning", () => {
  test("nothing is sent before the relay has said how much it takes", () => {
    const relay = new FakeRelay()
    const socket = relay.connect()
    expect(relay.webSocket.take()).toEqual([])
    relay.webSocket.credit(0, 4)
    expect(relay.webSocket.take()).toEqual([[connect, 1, 12]])
    expect(relay.sockets.connectOutcome(socket)).toBe(-Errno.EINPROGRESS)
    relay.webSocket.credit(1, 4)
    expect(relay.sockets.connectOutcome(socket)).toBe(0)
  })

  test("with a relay that doesn't report it, a connection counts as made after a while", async () => {
    const relay = new FakeRelay({ connectGrace: 1 })
    const socket = relay.connect()
    relay.webSocket.credit(0, 4)
    await until(() => relay.sockets.connectOutcome(socket) === 0)
  })

  test("what arrives says that the connection is made", () => {
    const relay = new FakeRelay()
    const socket = relay.connect()
    relay.webSocket.credit(0, 4)
    relay.webSocket.data(1, 3)
    expect(relay.sockets.connectOutcome(socket)).toBe(0)
    expect(relay.peek(socket, 10)).toBe(3)
  })

  test.each([
    [CloseReason.refused, Errno.ECONNREFUSED],
    [CloseReason.unreachable, Errno.EHOSTUNREACH],
    [CloseReason.connectTimedOut, Errno.ETIMEDOUT],
    [0xee, Errno.ECONNREFUSED],
  ])("reason %i of a connection that isn't made is error %i", (reason, errno) => {
    const relay = new FakeRelay()
    const socket = relay.connect()
    relay.webSocket.credit(0, 4)
    relay.webSocket.end(1, reason)
    expect(relay.sockets.connectOutcome(socket)).toBe(-errno)
  })

  test("a relay that can't be reached is tried again, but not by each flow", () => {
    const relay = new FakeRelay()
    const first = relay.connect()
    relay.webSocket.close()
    expect(relay.sockets.connectOutcome(first)).toBe(-Errno.ENETUNREACH)
    const second = relay.connect()
    expect(relay.sockets.connectOutcome(second)).toBe(-Errno.ENETUNREACH)
    expect(relay.webSockets).toHaveLength(1)
    expect(relay.sockets.counters.closures).toBe(1)
  })
})

describe("a relay that opens its WebSocket and stays silent", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  test("is given up, with the flows that wait for it", () => {
    const relay = new FakeRelay()
    const socket = relay.connect()
    vi.advanceTimersByTime(9_999)
    expect(relay.sockets.connectOutcome(socket)).toBe(-Errno.EINPROGRESS)
    vi.advanceTimersByTime(1)
    expect(relay.sockets.connectOutcome(socket)).toBe(-Errno.ENETUNREACH)
    expect(relay.webSocket.readyState).toBe(3)
    expect(relay.sockets.counters.closures).toBe(1)
  })

  test("isn't, once it has said how much it takes", () => {
    const relay = new FakeRelay()
    const socket = relay.connected()
    vi.advanceTimersByTime(60_000)
    expect(relay.webSocket.readyState).toBe(1)
    expect(relay.sockets.connectOutcome(socket)).toBe(0)
  })

  test("leaves no timer behind that ends the next WebSocket", () => {
    const relay = new FakeRelay()
    relay.connect()
    vi.advanceTimersByTime(5_000)
    relay.webSocket.credit(0, 4)
    relay.webSocket.close()
    relay.connect()
    vi.advanceTimersByTime(9_000)
    expect(relay.webSockets).toHaveLength(2)
    expect(relay.webSocket.readyState).toBe(1)
  })
})

describe("credit of the relay", () => {
  test("no packet is sent without, and what waits leaves together", () => {
    const relay = new FakeRelay()
    const socket = relay.connected(2)
    for (let count = 0; count < 10; count++) expect(relay.send(socket, 100)).toBe(100)
    expect(relay.webSocket.take()).toEqual([
      [data, 1, 100],
      [data, 1, 100],
    ])
    expect(relay.sockets.unacknowledged(socket)).toBe(800)
    relay.webSocket.credit(1, 2)
    expect(relay.webSocket.take()).toEqual([[data, 1, 800]])
    expect(relay.sockets.unacknowledged(socket)).toBe(0)
  })

  test("without, a bounded number of bytes is taken", () => {
    const relay = new FakeRelay()
    const socket = relay.connected(0)
    expect(relay.send(socket, MEBIBYTE)).toBe(256 * KIBIBYTE)
    expect(relay.send(socket, 1)).toBe(-Errno.EAGAIN)
    relay.webSocket.credit(1, 0xffffffff)
    expect(relay.webSocket.take()).toEqual(new Array(4).fill([data, 1, 64 * KIBIBYTE]))
    expect(relay.send(socket, 1)).toBe(1)
  })

  test("a WebSocket that is full holds everything up, whatever the credit is", async () => {
    const relay = new FakeRelay()
    const socket = relay.connected(0xffffffff)
    relay.webSocket.bufferedAmount = 2 * MEBIBYTE
    expect(relay.send(socket, MEBIBYTE)).toBe(256 * KIBIBYTE)
    expect(relay.send(socket, 1)).toBe(-Errno.EAGAIN)
    expect(relay.webSocket.take()).toEqual([])
    relay.webSocket.bufferedAmount = 0
    await until(() => relay.sockets.unacknowledged(socket) === 0)
    expect(relay.webSocket.take()).toHaveLength(4)
  })

  test("a WebSocket with room again is noticed in a hidden page too, whose timers are late", async () => {
    vi.stubGlobal("document", { hidden: true })
    vi.stubGlobal("setTimeout", () => {})
    onTestFinished(() => {
      vi.unstubAllGlobals()
    })
    const relay = new FakeRelay()
    const socket = relay.connected(0xffffffff)
    relay.webSocket.bufferedAmount = 2 * MEBIBYTE
    expect(relay.send(socket, 256 * KIBIBYTE)).toBe(256 * KIBIBYTE)
    relay.webSocket.bufferedAmount = 0
    await until(() => relay.sockets.unacknowledged(socket) === 0)
  })

  test("a closed connection sends what it has first", () => {
    const relay = new FakeRelay()
    const socket = relay.connected(0)
    expect(relay.send(socket, 100)).toBe(100)
    relay.sockets.close(socket)
    expect(relay.webSocket.take()).toEqual([])
    relay.webSocket.credit(1, 1)
    expect(relay.webSocket.closes).toEqual([[1, CloseReason.voluntary]])
    expect(relay.webSocket.take()).toEqual([
      [data, 1, 100],
      [close, 1, 1],
    ])
  })

  test("an orderly end is none while something couldn't be sent", () => {
    const relay = new FakeRelay()
    const socket = relay.connected(0)
    expect(relay.send(socket, 100)).toBe(100)
    relay.webSocket.data(1, 10)
    relay.webSocket.end(1, CloseReason.voluntary)
    expect(relay.peek(socket, 100)).toBe(-Errno.ECONNRESET)
    expect(relay.peek(socket, 100)).toBe(-Errno.ECONNRESET)
  })
})

describe("our own credit", () => {
  test("is announced to a relay that has the extension, and given as the guest reads", () => {
    const relay = new FakeRelay()
    const socket = relay.connect()
    relay.webSocket.credit(0, 4)
    expect(relay.webSocket.take()).toEqual([[connect, 1, 12]])
    expect(relay.sockets.capabilities.halfClose).toBe(false)
    relay.webSocket.credit(0, 4)
    expect(relay.webSocket.take()).toEqual([[credit, 0, 4]])
    expect(relay.sockets.capabilities.halfClose).toBe(true)
    for (let count = 0; count < OWN_CREDIT; count++) relay.webSocket.data(1, 128 * KIBIBYTE)
    // The first 512 KiB are 4 packets: the guest is behind before half of the credit is used up.
    expect(relay.webSocket.take()).toEqual([])
    expect(relay.sockets.unread(socket)).toBe(2 * MEBIBYTE)
    relay.sockets.discard(socket, MEBIBYTE)
    expect(relay.webSocket.take()).toEqual([])
    relay.sockets.discard(socket, MEBIBYTE)
    expect(relay.webSocket.take()).toEqual([[credit, 1, 4]])
  })

  test("is so small that many stalled connections stay below the limit of what waits", () => {
    const relay = new FakeRelay()
    const sockets = [relay.connected(4, true)]
    while (sockets.length < 32) sockets.push(relay.connect())
    for (let stream = 1; stream <= sockets.length; stream++) {
      const socket = sockets[stream - 1]
      // The guest takes what half of the credit brought, and then nothing.
      for (let count = 0; count < OWN_CREDIT / 2; count++) {
        relay.webSocket.data(stream, 64 * KIBIBYTE)
        relay.sockets.discard(socket, 64 * KIBIBYTE)
      }
      // What is on its way when we say more, and all of that.
      for (let count = 0; count < 1.5 * OWN_CREDIT; count++) relay.webSocket.data(stream, 64 * KIBIBYTE)
    }
    expect(relay.sockets.counters).toMatchObject({ overCredit: 0, overflows: 0 })
  })

  test("leaves room for a guest that reads nothing", () => {
    const relay = new FakeRelay()
    relay.connected(4, true)
    for (let count = 1; count < 64; count++) relay.connect()
    for (let stream = 1; stream <= 64; stream++) {
      for (let count = 0; count < OWN_CREDIT; count++) relay.webSocket.data(stream, 64 * KIBIBYTE)
    }
    expect(relay.sockets.counters).toMatchObject({ overCredit: 0, overflows: 0, strays: 0 })
  })

  test("a relay that sends more than that loses the stream", () => {
    const relay = new FakeRelay()
    const socket = relay.connected(4, true)
    for (let count = 0; count < 3 * OWN_CREDIT; count++) relay.webSocket.data(1, 64 * KIBIBYTE)
    expect(relay.sockets.counters.overCredit).toBe(1)
    expect(relay.sockets.counters.strays).toBe(OWN_CREDIT - 1)
    expect(relay.webSocket.closes).toEqual([[1, CloseReason.networkError]])
    expect(relay.sockets.unread(socket)).toBe(0)
    expect(relay.sockets.socketError(socket)).toBe(-Errno.ECONNRESET)
  })

  test("of a relay without the extension, the stream with the most is reset, and others go on", () => {
    const relay = new FakeRelay({ mostBufferedBytes: MEBIBYTE })
    const slow = relay.connected()
    const other = relay.connect()
    relay.webSocket.data(2, 10)
    for (let count = 0; count < 17; count++) relay.webSocket.data(1, 64 * KIBIBYTE)
    expect(relay.sockets.counters.overflows).toBe(1)
    expect(relay.sockets.socketError(slow)).toBe(-Errno.ECONNRESET)
    expect(relay.sockets.unread(other)).toBe(10)
    // Nothing of the one that was reset still counts.
    for (let count = 0; count < 15; count++) relay.webSocket.data(2, 64 * KIBIBYTE)
    expect(relay.sockets.unread(other)).toBe(10 + 15 * 64 * KIBIBYTE)
    expect(relay.sockets.counters.overflows).toBe(1)
  })
})

describe("the limit of what waits", () => {
  test("concerns memory, in which bytes are never packed tightly", () => {
    const relay = new FakeRelay({ mostBufferedBytes: MEBIBYTE })
    const slow = relay.connected()
    const other = relay.connect()
    relay.webSocket.data(1, 600 * KIBIBYTE)
    expect(relay.sockets.unread(slow)).toBe(600 * KIBIBYTE)
    relay.webSocket.data(2, 10)
    expect(relay.sockets.counters.overflows).toBe(1)
    expect(relay.sockets.socketError(slow)).toBe(-Errno.ECONNRESET)
    expect(relay.sockets.unread(other)).toBe(10)
  })

  test("doesn't concern what the guest has taken", () => {
    const relay = new FakeRelay({ mostBufferedBytes: 2.5 * MEBIBYTE })
    const first = relay.connected()
    for (let count = 1; count <= 24; count++) {
      const socket = count === 1 ? first : relay.connect()
      relay.webSocket.data(count, MEBIBYTE)
      relay.sockets.discard(socket, MEBIBYTE - 1)
    }
    expect(relay.sockets.counters.overflows).toBe(0)
  })
})

describe("bad input", () => {
  test("a huge message closes the WebSocket, and resets all streams", () => {
    const relay = new FakeRelay()
    const sockets = [relay.connected(), relay.connect()]
    relay.webSocket.data(1, 17 * MEBIBYTE)
    expect(relay.webSocket.readyState).toBe(3)
    expect(relay.sockets.socketError(sockets[0])).toBe(-Errno.ECONNRESET)
    expect(relay.sockets.socketError(sockets[1])).toBe(-Errno.ENETUNREACH)
    expect(relay.sockets.counters.malformed).toBe(1)
  })

  test("texts, short messages, and packets for streams that aren't there are counted", () => {
    const relay = new FakeRelay()
    const socket = relay.connected()
    relay.webSocket.receive("hello")
    relay.webSocket.receive(new Uint8Array(4))
    relay.webSocket.receive(Uint8Array.of(credit, 1, 0, 0, 0, 1))
    relay.webSocket.receive(Uint8Array.of(99, 1, 0, 0, 0))
    relay.webSocket.data(7, 10)
    expect(relay.sockets.counters).toMatchObject({ texts: 1, malformed: 3, strays: 1 })
    expect(relay.sockets.unread(socket)).toBe(0)
  })

  test("no messages, in whatever order, throw anything, or leave anything behind", () => {
    const message = fc.oneof(
      fc.constant("text"),
      fc.uint8Array({ maxLength: 12 }),
      fc
        .record({ type: fc.nat(6), stream: fc.nat(4), payload: fc.uint8Array({ maxLength: 300 }) })
        .map(({ type, stream, payload }) => Uint8Array.of(type, stream, 0, 0, 0, ...payload)),
    )
    const step = fc.oneof(message, message, fc.constantFrom("connect" as const, "send" as const, "close" as const))
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const relay = new FakeRelay({ mostBufferedBytes: 2 * SMALLEST_RING })
        const open = [relay.connect()]
        for (const each of steps) {
          if (each === "connect") open.push(relay.connect())
          else if (each === "send") relay.send(open[open.length - 1] ?? 0, 1_000)
          else if (each === "close") {
            const socket = open.shift()
            if (socket !== undefined) relay.sockets.close(socket)
          } else relay.webSocket.receive(each)
          expect(open.filter((socket) => relay.sockets.unread(socket) > 0).length).toBeLessThanOrEqual(2)
        }
        for (const socket of open) relay.sockets.reset(socket)
        expect(relay.sockets.openSockets).toBe(0)
        relay.sockets.disconnect()
      }),
    )
  })
})

describe("datagrams", () => {
  const SIDE = 1 as SideRef
  const batch = new DatagramBatch(1)

  function sendTo(relay: FakeRelay, socket: ReturnType<FakeRelay["connect"]>, port: number, length = 10): number {
    batch.offset[0] = relay.region
    batch.length[0] = length
    batch.segmentSize[0] = 0
    return relay.sockets.sendDatagramsTo(socket, relay.towards("192.0.2.1", port), 0, batch, 0, 1)
  }

  test("wait until the relay is there, a few of them", () => {
    const relay = new FakeRelay()
    const socket = relay.sockets.udpBind(SIDE, relay.towards())
    for (let count = 0; count < 20; count++) expect(sendTo(relay, socket, 7)).toBe(1)
    relay.webSocket.credit(0, 4)
    expect(relay.webSocket.take()).toEqual([[connect, 1, 12], ...new Array(16).fill([data, 1, 10])])
    expect(relay.sockets.counters.lostDatagrams).toBe(4)
  })

  test("wait in a bounded number of bytes, of all sockets together", () => {
    const relay = new FakeRelay()
    const sockets = Array.from({ length: 10 }, () => relay.sockets.udpBind(SIDE, relay.towards()))
    const payload = 60 * KIBIBYTE
    for (const socket of sockets) {
      for (let port = 1; port <= 10; port++) expect(sendTo(relay, socket, port, payload)).toBe(1)
    }
    expect(relay.sockets.counters.lostDatagrams).toBe(83)
    // Those of a socket that is closed make room.
    relay.sockets.close(sockets[0])
    for (let port = 1; port <= 12; port++) expect(sendTo(relay, sockets[9], port, payload)).toBe(1)
    expect(relay.sockets.counters.lostDatagrams).toBe(85)
    relay.webSocket.credit(0, 4)
    expect(relay.webSocket.take().filter(([type]) => type === data)).toHaveLength(17)
  })

  test("have a stream for each correspondent, and the one not used for longest gives way", () => {
    const relay = new FakeRelay()
    const socket = relay.sockets.udpBind(SIDE, relay.towards())
    for (let port = 1; port <= 64; port++) expect(sendTo(relay, socket, port)).toBe(1)
    relay.webSocket.credit(0, 4)
    expect(sendTo(relay, socket, 1)).toBe(1)
    expect(relay.webSocket.closes).toEqual([])
    expect(sendTo(relay, socket, 65)).toBe(1)
    expect(relay.webSocket.closes).toEqual([[2, CloseReason.voluntary]])
    relay.webSocket.take()
    relay.sockets.close(socket)
    expect(relay.webSocket.take()).toHaveLength(64)
  })

  test("have another stream after the relay has closed theirs", () => {
    const relay = new FakeRelay()
    const socket = relay.sockets.udpBind(SIDE, relay.towards())
    sendTo(relay, socket, 7)
    relay.webSocket.credit(0, 4)
    relay.webSocket.end(1, CloseReason.networkError)
    relay.webSocket.take()
    expect(sendTo(relay, socket, 7)).toBe(1)
    expect(relay.webSocket.take()).toEqual([
      [connect, 2, 12],
      [data, 2, 10],
    ])
  })

  test("a port number is one socket's, for each version of IP", () => {
    const relay = new FakeRelay()
    const wanted = relay.towards()
    wanted.forwardingPort = 5_000
    const socket = relay.sockets.udpBind(SIDE, wanted)
    expect(relay.sockets.udpBind(SIDE, wanted)).toBe(-Errno.EADDRINUSE)
    relay.sockets.close(socket)
    expect(relay.sockets.udpBind(SIDE, wanted)).toBeGreaterThanOrEqual(0)
  })
})
