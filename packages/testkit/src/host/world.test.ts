import {
  Address,
  Arena,
  DatagramBatch,
  Demiflow,
  Errno,
  emptySocketError,
  Interface,
  type ListenerRef,
  NO_SIDE,
  type SideRef,
  type Socket,
  SocketEvent,
  Vectors,
} from "@demiflow/core"
import { describe, expect, it } from "vitest"
import { toBytes } from "../bytes.ts"
import { patternBytes } from "../packets/layer.ts"
import { SeededRandom } from "../seeded-random.ts"
import { VirtualClock } from "../virtual-clock.ts"
import { SimulatedSockets } from "./simulated-sockets.ts"
import type { SimulatedSocketsOptions } from "./simulated-sockets-options.ts"

const SIDE = 9 as SideRef
const { readable, writable, error, hangUp } = SocketEvent

function bench(options: Partial<SimulatedSocketsOptions> = {}) {
  const clock = new VirtualClock()
  const arena = new Arena(4 << 20)
  const sockets = new SimulatedSockets({ clock, arena, ...options })
  const region = arena.reserve(1 << 20)
  const vectors = new Vectors(arena, 8)
  const batch = new DatagramBatch(8)
  const events: number[] = []
  const queued = emptySocketError()
  return {
    clock,
    sockets,
    world: sockets.world,
    queued,
    /** Lets time pass. Returns the reported events. */
    pass(milliseconds = 0): number {
      events.length = 0
      clock.advance(milliseconds)
      sockets.poll((_side, bits) => events.push(bits))
      return events.reduce((all, bits) => all | bits, 0)
    },
    send(socket: Socket, content: string | Uint8Array): number {
      const bytes = toBytes(content)
      arena.bytes.set(bytes, region)
      vectors.set(0, region, bytes.length)
      return sockets.send(socket, vectors, 0, 1)
    },
    sendDatagram(socket: Socket, content: string | Uint8Array): number {
      const bytes = toBytes(content)
      arena.bytes.set(bytes, region)
      batch.offset[0] = region
      batch.length[0] = bytes.length
      batch.segmentSize[0] = 0
      return sockets.sendDatagrams(socket, batch, 0, 1)
    },
  }
}

function towards(address: string, port: number, from = ""): Demiflow {
  const demiflow = new Demiflow(Interface.host)
  demiflow.correspondentAddress.copyFrom(Address.parse(address))
  demiflow.correspondentPort = port
  const any = demiflow.isV4 ? "0.0.0.0" : "::"
  demiflow.forwardingAddress.copyFrom(Address.parse(from || any))
  return demiflow
}

describe("outcomes of connecting", () => {
  for (const [outcome, errno, after] of [
    ["refuse", Errno.ECONNREFUSED, 30],
    ["unreachable", Errno.EHOSTUNREACH, 30],
    ["silent", Errno.ETIMEDOUT, 127_000],
  ] as const) {
    it(`${outcome}: reported as error ${errno} after ${after} ms`, () => {
      const { sockets, world, pass } = bench({ rtt: 30 })
      world.listen(80)
      world.route("198.51.100.0/24", { tcp: outcome })
      const socket = sockets.tcpConnect(SIDE, towards("198.51.100.7", 80))
      expect(socket).toBeGreaterThanOrEqual(0)
      expect(pass(after - 1)).toBe(0)
      expect(pass(1) & (error | hangUp | writable)).toBe(error | hangUp | writable)
      expect(sockets.socketError(socket)).toBe(-errno)
    })
  }

  it("noRoute: the call fails", () => {
    const { sockets, world } = bench()
    world.route("2001:db8:9::/48", { hasNoRoute: true })
    expect(sockets.tcpConnect(SIDE, towards("2001:db8:9::1", 80))).toBe(-Errno.ENETUNREACH)
    expect(sockets.openSockets).toBe(0)
  })

  it("is refused once a listener is closed, and where it listens at another address only", () => {
    const { sockets, world, pass } = bench()
    const listener = world.listen({ address: "198.51.100.7", port: 80 })
    expect(() => listener.connection).toThrow("Nobody has connected")
    const errorOf = (address: string) => {
      const socket = sockets.tcpConnect(SIDE, towards(address, 80))
      pass()
      return sockets.socketError(socket)
    }
    expect(errorOf("198.51.100.7")).toBe(0)
    expect(listener.connection.address.toString()).toBe("198.51.100.7")
    expect(errorOf("198.51.100.8")).toBe(-Errno.ECONNREFUSED)
    listener.close()
    expect(errorOf("198.51.100.7")).toBe(-Errno.ECONNREFUSED)
  })

  it("leaves nothing behind when the socket is closed meanwhile", () => {
    const { sockets, world, pass } = bench({ rtt: 10 })
    const listener = world.listen(80)
    sockets.close(sockets.tcpConnect(SIDE, towards("198.51.100.7", 80)))
    expect(pass(100)).toBe(0)
    expect(listener.connections).toEqual([])
    expect(sockets.openSockets).toBe(0)
  })
})

describe("what binds a socket", () => {
  it("has a limit of descriptors, and frees them", () => {
    const { sockets } = bench({ descriptors: 1 })
    const first = sockets.udpOpen(SIDE, towards("198.51.100.7", 53))
    expect(first).toBeGreaterThanOrEqual(0)
    expect(sockets.udpOpen(SIDE, towards("198.51.100.7", 53))).toBe(-Errno.EMFILE)
    expect(sockets.tcpConnect(SIDE, towards("198.51.100.7", 53))).toBe(-Errno.EMFILE)
    sockets.close(first)
    expect(sockets.udpOpen(SIDE, towards("198.51.100.7", 53))).toBeGreaterThan(first)
    expect(sockets.opened).toBe(2)
  })

  it("is its own address and a port that nobody has", () => {
    const { sockets } = bench({ addresses: ["192.0.2.1", "192.0.2.5", "2001:db8::1"] })
    const wanted = towards("198.51.100.7", 53, "192.0.2.5")
    wanted.forwardingPort = 777
    const socket = sockets.udpOpen(SIDE, wanted)
    const bound = new Demiflow()
    expect(sockets.boundEnd(socket, bound)).toBe(0)
    expect([bound.forwardingAddress.toString(), bound.forwardingPort]).toEqual(["192.0.2.5", 777])
    expect(sockets.udpOpen(SIDE, wanted)).toBe(-Errno.EADDRINUSE)
    expect(sockets.pingBind(SIDE, wanted)).toBeGreaterThan(0)
    expect(sockets.pingBind(SIDE, wanted)).toBe(-Errno.EADDRINUSE)
    expect(sockets.pingBind(SIDE, towards("198.51.100.7", 0, "192.0.2.99"))).toBe(-Errno.EADDRNOTAVAIL)
    expect(sockets.udpOpen(SIDE, towards("198.51.100.7", 53, "192.0.2.99"))).toBe(-Errno.EADDRNOTAVAIL)
    expect(sockets.udpOpen(SIDE, towards("127.0.0.1", 53))).toBeGreaterThan(0)
  })

  it("forbids ping sockets if it is asked to", () => {
    const { sockets } = bench({ forbidsPing: true })
    expect(sockets.pingBind(NO_SIDE, towards("198.51.100.7", 0))).toBe(-Errno.EACCES)
  })

  it("reports nothing of a socket without a side", () => {
    const { sockets, pass } = bench()
    expect(sockets.pingBind(NO_SIDE, towards("198.51.100.7", 0))).toBeGreaterThanOrEqual(0)
    expect(pass(10)).toBe(0)
  })
})

describe("what datagrams meet on their way", () => {
  const route = { hops: ["203.0.113.1", "203.0.113.2"], mtu: 1_400 }

  for (const [name, hopLimit, size, expected] of [
    ["the hop limit runs out at the first router", 1, 10, [Errno.EHOSTUNREACH, 11, 0, 0, "203.0.113.1"]],
    ["the hop limit runs out at the second router", 2, 10, [Errno.EHOSTUNREACH, 11, 0, 0, "203.0.113.2"]],
    ["the datagram is too big", 0, 1_373, [Errno.EMSGSIZE, 3, 4, 1_400, "203.0.113.2"]],
    ["nobody has the port", 3, 1_372, [Errno.ECONNREFUSED, 3, 3, 0, "198.51.100.7"]],
  ] as const) {
    it(`is reported when ${name}`, () => {
      const { sockets, world, pass, sendDatagram, queued } = bench()
      world.route("198.51.100.7", route)
      const socket = sockets.udpOpen(SIDE, towards("198.51.100.7", 53))
      expect(sockets.setHopLimit(socket, true, hopLimit)).toBe(0)
      expect(sendDatagram(socket, patternBytes(size))).toBe(1)
      expect(pass() & error).toBe(error)
      expect(sockets.receiveError(socket, queued)).toBe(1)
      const { errno, icmpType, icmpCode, information, reporter } = queued
      expect([errno, icmpType, icmpCode, information, reporter.toString()]).toEqual(expected)
      expect(sockets.socketError(socket)).toBe(0)
    })
  }

  it("is reported in ICMPv6 over IPv6, and unreachable hosts as such", () => {
    const { sockets, world, pass, sendDatagram, queued } = bench()
    world.route("2001:db8:1::/48", { isUnreachable: true })
    const socket = sockets.udpOpen(SIDE, towards("2001:db8:1::7", 53))
    sendDatagram(socket, "x")
    pass()
    sockets.receiveError(socket, queued)
    expect([queued.errno, queued.origin, queued.icmpType, queued.icmpCode]).toEqual([Errno.EHOSTUNREACH, 3, 1, 3])
  })

  it("is nothing at all when the way is silent, and a failed call without a route", () => {
    const { sockets, world, pass, sendDatagram } = bench()
    world.route("198.51.100.7", { isSilent: true })
    world.route("198.51.100.8", { hasNoRoute: true })
    const silent = sockets.udpOpen(SIDE, towards("198.51.100.7", 53))
    expect(sendDatagram(silent, "x")).toBe(1)
    pass()
    expect(pass(10_000)).toBe(0)
    expect(sendDatagram(sockets.udpOpen(SIDE, towards("198.51.100.8", 53)), "x")).toBe(-Errno.ENETUNREACH)
  })

  it("is a full receive buffer, which drops", () => {
    const { sockets, world, pass } = bench({ datagramBuffer: 100 })
    const socket = sockets.udpOpen(SIDE, towards("198.51.100.7", 53))
    const own = new Demiflow()
    sockets.boundEnd(socket, own)
    const to = { address: own.forwardingAddress, port: own.forwardingPort }
    for (let count = 0; count < 5; count++) world.send({ address: "198.51.100.7", port: 53 }, to, patternBytes(40))
    pass()
    const batch = new DatagramBatch(8)
    batch.length.fill(100)
    expect(sockets.receiveDatagrams(socket, batch, 8)).toBe(2)
  })
})

describe("time and chance", () => {
  it("acknowledges after a round trip, and keeps what the reader doesn't take", () => {
    const { sockets, world, pass, send } = bench({ rtt: 100 })
    const listener = world.listen(80, { receiveBuffer: 1_000 })
    const socket = sockets.tcpConnect(SIDE, towards("198.51.100.7", 80))
    pass(100)
    const { connection } = listener
    connection.pause()
    expect(send(socket, patternBytes(1_500))).toBe(1_500)
    pass(50)
    expect([connection.unread, sockets.unacknowledged(socket)]).toEqual([1_000, 1_500])
    pass(50)
    expect(sockets.unacknowledged(socket)).toBe(500)
    expect(connection.take(300)).toBe(300)
    pass(100)
    expect(sockets.unacknowledged(socket)).toBe(200)
    connection.resume()
    pass(100)
    expect(sockets.unacknowledged(socket)).toBe(0)
    expect(connection.received).toEqual(patternBytes(1_500))
  })

  it("is reported to have room only once a third of the buffer is free", () => {
    const { sockets, world, pass, send } = bench({ sendBuffer: 900 })
    const listener = world.listen(80, { receiveBuffer: 0 })
    const socket = sockets.tcpConnect(SIDE, towards("198.51.100.7", 80))
    pass()
    listener.connection.pause()
    expect(send(socket, patternBytes(1_000))).toBe(900)
    expect(send(socket, "x")).toBe(-Errno.EAGAIN)
    expect(pass(10) & writable).toBe(0)
    sockets.close(socket)
  })

  it("sends less than it could by chance, and reports when to go on", () => {
    const faults = { partialSend: 1 }
    const { sockets, world, pass, send } = bench({ faults, random: new SeededRandom(3) })
    const listener = world.listen(80)
    const socket = sockets.tcpConnect(SIDE, towards("198.51.100.7", 80))
    pass()
    const content = patternBytes(5_000)
    let sent = 0
    for (let round = 0; round < 10_000 && sent < 4_999; round++) {
      const taken = send(socket, content.subarray(sent))
      expect(taken).toBeLessThan(5_000 - sent)
      if (taken > 0) sent += taken
      if (taken < 0) expect(taken).toBe(-Errno.EAGAIN)
      expect(pass(5) & writable).toBe(writable)
    }
    expect(listener.connection.received).toEqual(content.slice(0, sent))
  })

  it("lets what is on its way arrive between two calls, in order", () => {
    const { sockets, world, pass } = bench({ rtt: 100, faults: { betweenCalls: 1 } })
    const listener = world.listen(80)
    const socket = sockets.tcpConnect(SIDE, towards("198.51.100.7", 80))
    pass(200)
    listener.connection.write("one")
    listener.connection.write("two")
    listener.connection.end()
    expect([sockets.unread(socket), sockets.unread(socket)]).toEqual([3, 6])
    sockets.close(socket)
  })

  it("lets one packet or several arrive before a call, in order", () => {
    const unreadByCall = (seed: number): string => {
      const faults = { betweenCalls: 1, mostBetweenCalls: 3 }
      const { sockets, world, pass } = bench({ rtt: 100, faults, random: new SeededRandom(seed) })
      const listener = world.listen(80)
      const socket = sockets.tcpConnect(SIDE, towards("198.51.100.7", 80))
      pass(200)
      listener.connection.write("one")
      listener.connection.write("two")
      return [sockets.unread(socket), sockets.unread(socket)].join()
    }
    const seen = new Set(Array.from({ length: 50 }, (_, seed) => unreadByCall(seed)))
    expect([...seen].sort()).toEqual(["3,6", "6,6"])
  })

  it("lets the outcome of a connect, datagrams, errors and connections to a listener happen between two calls", () => {
    const { clock, sockets, world } = bench({ rtt: 100, faults: { betweenCalls: 1 } })
    const start = clock.now
    world.listen(80)
    const accepted = sockets.tcpConnect(SIDE, towards("198.51.100.7", 80))
    expect(sockets.shutdownWrite(accepted)).toBe(0)
    const refused = sockets.tcpConnect(SIDE, towards("198.51.100.7", 81))
    for (let calls = 0; calls < 9; calls++) sockets.unread(accepted)
    expect(sockets.socketError(refused)).toBe(-Errno.ECONNREFUSED)
    const end = { address: undefined, port: 8080, interfaceName: undefined, freebind: false }
    const listening = sockets.tcpListen(0 as ListenerRef, end)
    world.connect({ address: "198.51.100.7", port: 5000 }, { address: "192.0.2.1", port: 8080 })
    for (let calls = 0; calls < 9; calls++) sockets.unread(accepted)
    expect(sockets.connectionsWaiting(listening)).toBe(1)
    expect(clock.now).toBe(start)
  })

  it("reports events late, and for no reason", () => {
    const late = bench({ faults: { lateEvent: 1, lateness: 50 } })
    late.world.listen(80)
    late.sockets.tcpConnect(SIDE, towards("198.51.100.7", 80))
    expect(late.pass()).toBe(0)
    expect(late.pass(50) & writable).toBe(writable)

    const spurious = bench({ faults: { spuriousEvent: 1 } })
    spurious.sockets.udpOpen(SIDE, towards("198.51.100.7", 53))
    expect(spurious.pass()).toBe(readable | writable)
  })
})

describe("misuse", () => {
  it("of a closed socket is recorded, and answered with an error", () => {
    const { sockets, world, pass, send } = bench()
    world.listen(80)
    const socket = sockets.tcpConnect(SIDE, towards("198.51.100.7", 80))
    pass()
    expect(sockets.violations).toEqual([])
    sockets.close(socket)
    expect(send(socket, "x")).toBeLessThan(0)
    expect(sockets.unread(socket)).toBeLessThan(0)
    sockets.close(socket)
    expect(sockets.violations).toHaveLength(3)
  })

  it("of a socket of another kind is recorded", () => {
    const { sockets, send } = bench()
    expect(send(sockets.udpOpen(SIDE, towards("198.51.100.7", 53)), "x")).toBeLessThan(0)
    expect(sockets.violations[0]).toContain("of another kind")
  })
})
