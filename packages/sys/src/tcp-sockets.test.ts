import { constants, release } from "node:os"
import { Address, Demiflow, Errno, NO_SOCKET, type SideRef, type Socket, SocketEvent, Vectors } from "@demiflow/core"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { AddressFamily, SocketLevel, SocketOption, SocketType, TcpOption } from "./constants.ts"
import { LinuxSockets } from "./linux-sockets.ts"
import { probePeekOffset } from "./tcp-sockets.ts"
import { arena, bound, Events, loopback, native, towards, unusedPort } from "./test-support.ts"

const { readable, writable, readEnd, hangUp } = SocketEvent
const REGION = 1 << 20
const region = arena.reserve(REGION, 4096)
const vectors = new Vectors(arena, 16)
const events = new Events()
const side = 5 as SideRef

const hosts = [
  { name: "with the kernel's peek offset", sockets: new LinuxSockets(native, arena, events.loop) },
  { name: "without it", sockets: new LinuxSockets(native, arena, events.loop, { usePeekOffset: false }) },
]

const information = {
  minimumRtt: -9,
  rtt: -9,
  bytesAcknowledged: -9,
  bytesReceived: -9,
  sendWindow: -9,
  sendMss: -9,
  notSentBytes: -9,
  silence: -9,
}

it("a kernel of Linux 6.9 has a peek offset for TCP over IPv4, one of 6.12 for IPv6, so that both ways are tested there", () => {
  const [major = 0, minor = 0] = release().split(".").map(Number)
  const isOlderThan = (since: number): boolean => major < 6 || (major === 6 && minor < since)
  const isRight = (family: number, since: number): boolean => probePeekOffset(native, family) || isOlderThan(since)
  // Distributions backport it, so an older kernel may have it.
  expect([isRight(AddressFamily.ipv4, 9), isRight(AddressFamily.ipv6, 12)]).toEqual([true, true])
})

for (const { name, sockets } of hosts) {
  for (const isV4 of [true, false]) {
    describe(`TCP over ${isV4 ? "IPv4" : "IPv6"} ${name}`, () => {
      let listener: number
      let port: number
      let socket: Socket
      /** The correspondent's end, a plain descriptor. */
      let remote: number

      beforeEach(() => {
        ;({ descriptor: listener, port } = bound(isV4, SocketType.stream))
        socket = sockets.tcpConnect(side, towards(isV4, port))
        expect(socket).toBeGreaterThanOrEqual(0)
        events.until(side, writable)
        expect(sockets.socketError(socket)).toBe(0)
        remote = native.accept(listener, 0, 0)
        expect(remote).toBeGreaterThanOrEqual(0)
      })

      afterEach(() => {
        sockets.close(socket)
        native.close(remote)
        native.close(listener)
      })

      /** The correspondent sends bytes that identify their place in the stream. */
      function remoteSends(from: number, to: number): void {
        for (let at = from; at < to; at++) arena.bytes[region + at - from] = at * 7 + (at >> 8)
        expect(native.write(remote, region, to - from)).toBe(to - from)
        events.until(side, readable)
      }

      function peekTwoParts(first: number, second: number, skip: number): number {
        arena.bytes.fill(0, region, region + first + second + 10)
        vectors.set(3, region, first)
        vectors.set(4, region + first + 10, second)
        return sockets.peek(socket, vectors, 3, 2, skip)
      }

      function expectStream(from: number, offset: number, length: number): void {
        for (let index = 0; index < length; index++) {
          const at = from + index
          expect(arena.bytes[offset + index]).toBe((at * 7 + (at >> 8)) & 255)
        }
      }

      it("peeks behind what was peeked before, again, further on and after discarding", () => {
        expect(peekTwoParts(10, 10, 0)).toBe(-Errno.EAGAIN)
        remoteSends(0, 1000)
        expect(peekTwoParts(100, 200, 0)).toBe(300)
        expectStream(0, region, 100)
        expectStream(100, region + 110, 200)
        expect(peekTwoParts(100, 200, 300)).toBe(300)
        expectStream(300, region, 100)
        expect(peekTwoParts(100, 200, 300)).toBe(300)
        expectStream(300, region, 100)
        expect(sockets.discard(socket, 250)).toBe(250)
        expect(sockets.unread(socket)).toBe(750)
        expect(peekTwoParts(300, 300, 350)).toBe(400)
        expectStream(600, region, 300)
        expectStream(900, region + 310, 100)
        expect(peekTwoParts(300, 300, 750)).toBe(-Errno.EAGAIN)
        expect(peekTwoParts(300, 300, 0)).toBe(600)
        expectStream(250, region, 300)
        expect(sockets.discard(socket, 5000)).toBe(750)
        expect(sockets.unread(socket)).toBe(0)
        expect(peekTwoParts(10, 10, 0)).toBe(-Errno.EAGAIN)
        remoteSends(1000, 1020)
        expect(peekTwoParts(10, 10, 0)).toBe(20)
        expectStream(1000, region, 10)
        remoteSends(1020, 1040)
        expect(peekTwoParts(10, 10, 20)).toBe(20)
        expectStream(1020, region, 10)
      })

      it("follows what was peeked and discarded without a call each time", () => {
        remoteSends(0, 5000)
        let sent = 0
        let acknowledged = 0
        while (sent < 5000) {
          const peeked = peekTwoParts(137, 100, sent - acknowledged)
          expect(peeked).toBe(Math.min(237, 5000 - sent))
          expectStream(sent, region, Math.min(137, peeked))
          sent += peeked
          acknowledged += sockets.discard(socket, Math.min(180, sent - acknowledged))
        }
        expect(sockets.unread(socket)).toBe(5000 - acknowledged)
      })

      it("reports the end of the stream only behind all of it", () => {
        remoteSends(0, 100)
        native.shutdown(remote, 1)
        events.until(side, readEnd)
        expect(peekTwoParts(60, 60, 0)).toBe(100)
        expect(peekTwoParts(60, 60, 40)).toBe(60)
        expect(peekTwoParts(60, 60, 100)).toBe(0)
        expect(sockets.discard(socket, 100)).toBe(100)
        expect(peekTwoParts(60, 60, 0)).toBe(0)
      })

      it("reports the end of the stream only behind an urgent mark, and what is behind the mark", () => {
        const URGENT = 1
        for (let at = 0; at < 100; at++) arena.bytes[region + at] = at * 7
        vectors.set(0, region, 50)
        native.sendVectors(remote, vectors.offset, 1, URGENT)
        vectors.set(0, region + 50, 50)
        native.sendVectors(remote, vectors.offset, 1, 0)
        native.shutdown(remote, 1)
        events.until(side, readEnd | SocketEvent.urgent)
        let seen = 0
        let skip = 0
        for (let attempt = 0; attempt < 10 && seen < 100; attempt++) {
          const peeked = peekTwoParts(10, 20, skip)
          // The guest acknowledges what it has received.
          if (peeked === -Errno.EAGAIN) skip -= sockets.discard(socket, skip)
          else {
            expect(peeked).toBeGreaterThan(0)
            expectStream(seen, region, Math.min(peeked, 10))
            seen += peeked
            skip += peeked
          }
        }
        expect(seen).toBe(100)
        expect(peekTwoParts(10, 20, skip)).toBe(0)
      })

      it("reports a reset behind what had arrived as an error, not as the end of the stream", () => {
        remoteSends(0, 100)
        expect(peekTwoParts(60, 60, 0)).toBe(100)
        sockets.discard(socket, 30)
        arena.words.set([1, 0], region >> 2)
        native.setOption(remote, 1, 13, region, 8)
        native.close(remote)
        events.until(side, hangUp)
        expect(peekTwoParts(60, 60, 70)).toBe(-Errno.ECONNRESET)
        remote = -1
      })

      it("reads urgent bytes as others, in their place", () => {
        const URGENT = 1
        for (let at = 0; at < 100; at++) arena.bytes[region + at] = at * 7
        vectors.set(0, region, 50)
        native.sendVectors(remote, vectors.offset, 1, URGENT)
        vectors.set(0, region + 50, 50)
        native.sendVectors(remote, vectors.offset, 1, 0)
        events.until(side, readable | SocketEvent.urgent)
        // A peek stops at the urgent mark; without SO_PEEK_OFF, nothing after the mark is visible before it is reached.
        const first = peekTwoParts(40, 60, 0)
        expectStream(0, region, 40)
        const seen = peekTwoParts(40, 60, first)
        const skip = seen > 0 ? first : first - sockets.discard(socket, first)
        expect(first + peekTwoParts(40, 60, skip)).toBe(100)
        expectStream(first, region, 40)
      })

      it("sends from several places and reports what is unacknowledged", () => {
        arena.bytes.fill(1, region, region + 100)
        arena.bytes.fill(2, region + 500, region + 600)
        vectors.set(0, region, 100)
        vectors.set(1, region + 500, 100)
        expect(sockets.send(socket, vectors, 0, 2)).toBe(200)
        expect(native.read(remote, region + 1000, 1000)).toBe(200)
        expect([...arena.bytes.subarray(region + 1099, region + 1101)]).toEqual([1, 2])
        expect(sockets.unacknowledged(socket)).toBe(0)
      })

      it("takes no more than the buffers hold, reports room again, and accounts for all", () => {
        vectors.set(0, region, REGION)
        let sent = 0
        for (let taken = 0; taken >= 0; sent += Math.max(taken, 0)) taken = sockets.send(socket, vectors, 0, 1)
        expect(sockets.send(socket, vectors, 0, 1)).toBe(-Errno.EAGAIN)
        expect(sockets.unacknowledged(socket)).toBeGreaterThan(0)
        expect(sockets.sendBufferSize(socket)).toBeGreaterThan(0)
        expect(sockets.tcpInformation(socket, information)).toBe(0)
        expect(information.notSentBytes).toBeGreaterThan(0)
        expect(information.bytesAcknowledged + sockets.unacknowledged(socket)).toBe(sent)
        events.seen.clear()
        const read = (): number => {
          let total = 0
          for (let length = 1; length > 0; total += Math.max(length, 0)) length = native.discard(remote, REGION)
          return total
        }
        let received = 0
        while (received < sent) {
          received += read()
          events.loop.round(1000)
        }
        expect(events.seen.get(side) ?? 0).toBe(writable)
        expect(received).toBe(sent)
      })

      it("reports what the kernel knows of the connection", () => {
        expect(sockets.tcpInformation(socket, information)).toBe(0)
        expect(information.bytesAcknowledged).toBe(0)
        expect(information.notSentBytes).toBe(0)
        expect(information.sendMss).toBeGreaterThan(500)
        expect(information.sendWindow).toBeGreaterThan(1000)
        expect(information.rtt).toBeGreaterThan(0)
        expect(information.minimumRtt).toBeLessThan(1_000_000)
        vectors.set(0, region, 1234)
        sockets.send(socket, vectors, 0, 1)
        expect(sockets.tcpInformation(socket, information)).toBe(0)
        expect(information.bytesAcknowledged).toBe(1234)
      })

      it("asks a silent correspondent: at the kernel's times, at others, and at the kernel's again", () => {
        const { keepIdle, keepInterval, keepCount } = TcpOption
        const options = () =>
          [keepIdle, keepInterval, keepCount].map((option) => native.getOptionInteger(socket, SocketLevel.tcp, option))
        const idle = () => options()[0]
        expect(native.getOptionInteger(socket, SocketLevel.socket, SocketOption.keepAlive)).toBe(1)
        const usual = options()
        expect(sockets.keepAlive(socket, 7)).toBe(0)
        expect(idle()).toBe(7)
        expect(sockets.keepAlive(socket, 0)).toBe(0)
        expect(options()).toEqual(usual)
        expect(sockets.askCorrespondent(socket)).toBe(0)
        expect(options()).toEqual([1, 32_767, 127])
        expect(sockets.keepAlive(socket, 0)).toBe(0)
        expect(options()).toEqual(usual)
        expect(sockets.keepAlive(NO_SOCKET, 7)).toBeLessThan(0)
      })

      it("says that it sends nothing more, and goes on receiving", () => {
        expect(sockets.shutdownWrite(socket)).toBe(0)
        expect(native.read(remote, region, 10)).toBe(0)
        remoteSends(0, 30)
        expect(peekTwoParts(20, 20, 0)).toBe(30)
      })

      it("resets, and reports a reset", () => {
        sockets.reset(socket)
        expect(native.read(remote, region, 10)).toBe(-Errno.ECONNRESET)
        socket = sockets.tcpConnect(side, towards(isV4, port))
        events.until(side, writable)
        const other = native.accept(listener, 0, 0)
        arena.words.set([1, 0], region >> 2)
        native.setOption(other, 1, 13, region, 8)
        native.close(other)
        events.until(side, hangUp | readable)
        expect(sockets.socketError(socket)).toBe(-Errno.ECONNRESET)
        expect(sockets.socketError(socket)).toBe(0)
      })

      it("reports the end that it is bound to", () => {
        const demiflow = new Demiflow()
        expect(sockets.boundEnd(socket, demiflow)).toBe(0)
        expect(demiflow.forwardingAddress.equals(loopback(isV4))).toBe(true)
        expect(demiflow.forwardingPort).toBeGreaterThan(0)
        expect(sockets.boundEnd(NO_SOCKET, demiflow)).toBeLessThan(0)
      })
    })
  }
}

describe("without the kernel's peek offset", () => {
  /** A host, and a function that runs right after its next peek. */
  function peekingHost(): { sockets: LinuxSockets; afterPeek: { run: () => void } } {
    const afterPeek = { run: () => {} }
    const receiveVectors: typeof native.receiveVectors = (descriptor, offset, count, flags) => {
      const received = native.receiveVectors(descriptor, offset, count, flags)
      const { run } = afterPeek
      afterPeek.run = () => {}
      run()
      return received
    }
    const sockets = new LinuxSockets({ ...native, receiveVectors }, arena, events.loop, { usePeekOffset: false })
    return { sockets, afterPeek }
  }

  for (const isV4 of [true, false]) {
    it(`over ${isV4 ? "IPv4" : "IPv6"}, delivers what arrives with the end while it peeks`, () => {
      const { sockets, afterPeek } = peekingHost()
      const { descriptor: listener, port } = bound(isV4, SocketType.stream)
      const socket = sockets.tcpConnect(side, towards(isV4, port))
      events.until(side, writable)
      const remote = native.accept(listener, 0, 0)
      native.write(remote, region, 1_000)
      events.until(side, readable)
      vectors.set(0, region, 1_000)
      expect(sockets.peek(socket, vectors, 0, 1, 0)).toBe(1_000)
      afterPeek.run = () => {
        native.write(remote, region, 500)
        native.shutdown(remote, 1)
        events.until(side, readEnd)
      }
      expect(sockets.peek(socket, vectors, 0, 1, 1_000)).toBe(500)
      expect(sockets.peek(socket, vectors, 0, 1, 1_500)).toBe(0)
      sockets.close(socket)
      native.close(remote)
      native.close(listener)
    })
  }
})

describe("connecting", () => {
  const { sockets } = hosts[0]

  it("reports a refusal by an event", () => {
    const socket = sockets.tcpConnect(side, towards(true, unusedPort()))
    if (socket >= 0) {
      events.until(side, SocketEvent.error)
      expect(sockets.socketError(socket)).toBe(-Errno.ECONNREFUSED)
      sockets.close(socket)
    } else expect(socket).toBe(-Errno.ECONNREFUSED)
  })

  it("comes from the forwarding end that is given", () => {
    const { descriptor, port } = bound(true, SocketType.stream)
    const demiflow = towards(true, port)
    demiflow.forwardingAddress.word3 = 0x7f00_0142
    demiflow.forwardingPort = unusedPort()
    const socket = sockets.tcpConnect(side, demiflow)
    expect(socket).toBeGreaterThanOrEqual(0)
    const end = new Demiflow()
    sockets.boundEnd(socket, end)
    expect(end.forwardingAddress.toString()).toBe("127.0.1.66")
    expect(end.forwardingPort).toBe(demiflow.forwardingPort)
    sockets.close(socket)
    native.close(descriptor)
  })

  it.each([true, false])("comes from one port to several correspondents, and not twice to one (IPv4: %s)", (isV4) => {
    const listeners = [bound(isV4, SocketType.stream), bound(isV4, SocketType.stream)]
    const forwardingPort = unusedPort()
    const connect = (port: number) => {
      const demiflow = towards(isV4, port)
      demiflow.forwardingPort = forwardingPort
      return sockets.tcpConnect(side, demiflow)
    }
    const opened = listeners.map(({ port }) => connect(port))
    const end = new Demiflow()
    for (const socket of opened) {
      expect(sockets.boundEnd(socket, end)).toBe(0)
      expect(end.forwardingPort).toBe(forwardingPort)
    }
    expect(connect(listeners[0].port)).toBe(-Errno.EADDRNOTAVAIL)
    for (const socket of opened) sockets.close(socket)
    for (const { descriptor } of listeners) native.close(descriptor)
  })

  it("keeps the host's own patience where that was made shorter than usual", () => {
    const { keepIdle, keepInterval, keepCount } = TcpOption
    const shortened = new Map<number, number>([
      [keepIdle, 3],
      [keepInterval, 1],
      [keepCount, 3],
    ])
    const set: number[][] = []
    const shortHost = new LinuxSockets(
      {
        ...native,
        getOptionInteger: (descriptor, level, option) =>
          (level === SocketLevel.tcp ? shortened.get(option) : undefined) ??
          native.getOptionInteger(descriptor, level, option),
        setOptionInteger: (descriptor, level, option, value) => {
          if (level === SocketLevel.tcp && shortened.has(option)) set.push([option, value])
          return native.setOptionInteger(descriptor, level, option, value)
        },
      },
      arena,
      events.loop,
    )
    shortHost.askCorrespondent(NO_SOCKET)
    expect(set).toEqual([
      [keepCount, 3],
      [keepInterval, 1],
      [keepIdle, 1],
    ])
  })

  it("answers what the host says at once, and leaves no descriptor behind", () => {
    const demiflow = towards(true, 1)
    demiflow.forwardingAddress.word3 = 0xcb00_7107 | 0
    const before = native.createEvent(0)
    expect(sockets.tcpConnect(side, demiflow)).toBe(-Errno.EADDRNOTAVAIL)
    const after = native.createEvent(0)
    expect(after).toBe(before + 1)
    native.close(before)
    native.close(after)
  })

  it("does not report a socket that was closed", () => {
    const { descriptor, port } = bound(true, SocketType.stream)
    events.seen.clear()
    const socket = sockets.tcpConnect(side, towards(true, port))
    sockets.close(socket)
    events.loop.round(0)
    expect(events.seen.size).toBe(0)
    native.close(descriptor)
  })

  it("goes out by the interface that is given, or not at all; to the host itself by its own", () => {
    const { descriptor, port } = bound(true, SocketType.stream)
    const here = towards(true, port)
    const elsewhere = here.clone()
    elsewhere.correspondentAddress.copyFrom(Address.parse("198.51.100.7"))
    const by = (interfaceV4: string, demiflow: Demiflow) =>
      new LinuxSockets(native, arena, events.loop, { interfaceV4 }).tcpConnect(side, demiflow)
    expect(by("none such", elsewhere)).toBe(-constants.errno.ENODEV)
    const socket = by("none such", here)
    expect(socket).toBeGreaterThanOrEqual(0)
    sockets.close(socket)
    expect(() => by("much-too-long-a-name", here)).toThrow(RangeError)
    native.close(descriptor)
  })
})
