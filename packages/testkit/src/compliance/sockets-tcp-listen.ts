import {
  Address,
  Errno,
  type ListenerRef,
  type Socket,
  SocketEvent,
  type SocketsCapabilities,
  UNSPECIFIED_V4,
  UNSPECIFIED_V6,
} from "@demiflow/core"
import { beforeEach, expect, it } from "vitest"
import { concatenate, sameBytes, toBytes } from "../bytes.ts"
import { patternBytes } from "../packets/layer.ts"
import { type SocketsBench, testOf } from "./sockets-bench.ts"
import type { CorrespondentClient, End } from "./sockets-under-test.ts"

const { readable, writable, error, hangUp, readEnd } = SocketEvent

/** Listens for the duration of a test. */
function listenAt(bench: SocketsBench, address: Readonly<Address> | undefined, port: number): [Socket, ListenerRef] {
  const listener = bench.newListener()
  const socket = bench.under.sockets.tcpListen(listener, bench.listeningEnd(address as Address, port))
  expect(socket).toBeGreaterThanOrEqual(0)
  return [bench.keep(socket), listener]
}

/** Connects, accepts and watches. Returns the socket, its side, and the reported ends. */
async function accept(bench: SocketsBench, [listening, listener]: [Socket, ListenerRef], end: End) {
  bench.forgetArrivals(listener)
  const client = bench.under.connect(end)
  await bench.untilArrival(listener)
  const demiflow = bench.towards(end)
  const socket = bench.keep(bench.under.sockets.tcpAccept(listening, demiflow))
  expect(socket).toBeGreaterThanOrEqual(0)
  await bench.until("the connection is made", () => client.isConnected)
  const side = bench.newSide()
  return { client, demiflow, socket, side }
}

/** The tests of a host's TCP sockets that listen, over one version of IP. */
export function tcpListenTests(bench: () => SocketsBench, isV4: boolean, capabilities: SocketsCapabilities): void {
  let end: End
  let listening: [Socket, ListenerRef]

  beforeEach(() => {
    end = bench().under.ownEnd(isV4)
    listening = listenAt(bench(), end.address, end.port)
  })

  const host = () => bench().under.sockets
  const tryToListen = (address: Address | undefined, port: number, more = {}): number => {
    const socket = host().tcpListen(bench().newListener(), bench().listeningEnd(address, port, more))
    if (socket >= 0) bench().keep(socket)
    return socket
  }

  /** Reads and discards until this number of bytes has arrived. */
  async function read(socket: Socket, length: number): Promise<Uint8Array> {
    const pieces: Uint8Array[] = []
    await bench().until(`${length} bytes arrive`, () => {
      const piece = bench().peek(socket, 65_536, 0)
      if (typeof piece !== "number" && piece.length > 0) {
        pieces.push(piece)
        expect(host().discard(socket, piece.length)).toBe(piece.length)
      }
      return pieces.reduce((sum, { length }) => sum + length, 0) >= length
    })
    return concatenate(pieces)
  }

  it("says how many connections wait", async () => {
    expect(host().connectionsWaiting(listening[0])).toBe(0)
    bench().forgetArrivals(listening[1])
    bench().under.connect(end)
    await bench().untilArrival(listening[1])
    expect(host().connectionsWaiting(listening[0])).toBe(1)
    bench().keep(host().tcpAccept(listening[0], bench().towards(end)))
    expect(host().connectionsWaiting(listening[0])).toBe(0)
  })

  it("reports that a connection waits, and names both ends", async () => {
    const nobody = bench().towards(end)
    expect(host().tcpAccept(listening[0], nobody)).toBe(-Errno.EAGAIN)
    const { client, demiflow, socket } = await accept(bench(), listening, end)
    expect([demiflow.forwardingAddress.toString(), demiflow.forwardingPort]).toEqual([end.address.toString(), end.port])
    const { address, port } = client.ownEnd
    expect([demiflow.correspondentAddress.toString(), demiflow.correspondentPort]).toEqual([address.toString(), port])
    expect(host().tcpAccept(listening[0], nobody)).toBe(-Errno.EAGAIN)
    expect(host().socketError(socket)).toBe(0)
    const bound = bench().towards(end)
    expect(host().boundEnd(socket, bound)).toBe(0)
    expect([bound.forwardingAddress.toString(), bound.forwardingPort]).toEqual([end.address.toString(), end.port])
  })

  it("reports nothing of an accepted socket before it is watched, and then what holds already", async () => {
    const { client, socket, side } = await accept(bench(), listening, end)
    client.write(toBytes("early"))
    await bench().until("it arrives", () => host().unread(socket) === 5)
    expect(bench().eventsOf(side)).toBe(0)
    expect(host().watch(socket, side)).toBe(0)
    await bench().untilEvents(side, readable | writable)
    expect(bench().peek(socket, 10, 0)).toEqual(toBytes("early"))
  })

  it("carries bytes both ways, to an orderly end", async () => {
    const { client, socket, side } = await accept(bench(), listening, end)
    expect(host().watch(socket, side)).toBe(0)
    await bench().untilEvents(side, writable)
    const content = patternBytes(100_000)
    client.write(content)
    expect(sameBytes(await read(socket, content.length), content)).toBe(true)
    expect(bench().send(socket, toBytes("answer"))).toBe(6)
    expect(host().shutdownWrite(socket)).toBe(0)
    await bench().until("the end arrives", () => client.isEnded)
    expect(client.received).toEqual(toBytes("answer"))
    client.end()
    await bench().untilEvents(side, readEnd | hangUp)
  })

  it("peeks behind what was peeked before, as on a connection of its own", async () => {
    const { client, socket } = await accept(bench(), listening, end)
    client.write(toBytes("0123456789"))
    await bench().until("it arrives", () => host().unread(socket) === 10)
    expect(bench().peek(socket, 4, 0)).toEqual(toBytes("0123"))
    expect(bench().peek(socket, 4, 6)).toEqual(toBytes("6789"))
    expect(host().discard(socket, 5)).toBe(5)
    expect(bench().peek(socket, 4, 1)).toEqual(toBytes("6789"))
  })

  it("has all connections that wait accepted one after the other, in their order", async () => {
    const clients: CorrespondentClient[] = []
    for (let index = 0; index < 3; index++) {
      const client = bench().under.connect(end)
      clients.push(client)
      await bench().until("it is connected", () => client.isConnected)
    }
    await bench().settle()
    const ports: number[] = []
    const demiflow = bench().towards(end)
    for (let socket = host().tcpAccept(listening[0], demiflow); socket >= 0; ) {
      bench().keep(socket)
      ports.push(demiflow.correspondentPort)
      socket = host().tcpAccept(listening[0], demiflow)
    }
    expect(ports).toEqual(clients.map(({ ownEnd }) => ownEnd.port))
    // Edge triggered: an event is not reported twice, a new one is.
    await accept(bench(), listening, end)
  })

  it("reports a reset", async () => {
    const { client, socket, side } = await accept(bench(), listening, end)
    expect(host().watch(socket, side)).toBe(0)
    client.reset()
    await bench().untilEvents(side, error | hangUp)
    expect(host().socketError(socket)).toBe(-Errno.ECONNRESET)
  })

  it("resets who waits when it is closed, and refuses who comes then", async () => {
    const waiting = bench().under.connect(end)
    await bench().untilArrival(listening[1])
    await bench().until("it is connected", () => waiting.isConnected)
    host().close(listening[0])
    bench().closed(listening[0])
    await bench().until("the one that waits is reset", () => waiting.isReset)
    const late = bench().under.connect(end)
    await bench().until("the late one is refused", () => late.isRefused)
    expect(bench().eventsOfListener(listening[1])).toBe(0)
  })

  it("leaves accepted connections alone when it is closed", async () => {
    const { client, socket } = await accept(bench(), listening, end)
    host().close(listening[0])
    bench().closed(listening[0])
    client.write(toBytes("still there"))
    expect(await read(socket, 11)).toEqual(toBytes("still there"))
  })

  it("says when the port is in use, and only as long as it is", async () => {
    expect(tryToListen(end.address, end.port)).toBe(-Errno.EADDRINUSE)
    expect(tryToListen((isV4 ? UNSPECIFIED_V4 : UNSPECIFIED_V6) as Address, end.port)).toBe(-Errno.EADDRINUSE)
    expect(tryToListen(undefined, end.port)).toBe(-Errno.EADDRINUSE)
    // Connections to the port, open or just closed, don't keep the port in use.
    await accept(bench(), listening, end)
    const { client, socket } = await accept(bench(), listening, end)
    host().close(socket)
    bench().closed(socket)
    await bench().until("the end arrives", () => client.isEnded)
    client.end()
    host().close(listening[0])
    bench().closed(listening[0])
    await bench().settle()
    expect(tryToListen(end.address, end.port)).toBeGreaterThanOrEqual(0)
  })

  testOf(capabilities.ownEnds)("refuses a connection from the port to others, at once or when it can", async () => {
    const remote = await bench().under.listen(isV4)
    const demiflow = bench().towards(remote)
    demiflow.forwardingAddress.copyFrom(end.address)
    demiflow.forwardingPort = end.port
    const side = bench().newSide()
    const socket = host().tcpConnect(side, demiflow)
    if (capabilities.immediateErrors) expect(socket).toBe(-Errno.EADDRINUSE)
    else {
      await bench().untilEvents(side, error)
      expect(host().connectOutcome(bench().keep(socket))).toBe(-Errno.EADDRINUSE)
      expect(remote.connections).toEqual([])
    }
    remote.close()
  })

  it("shares the port with a listener for the other version of IP", async () => {
    const other = (isV4 ? UNSPECIFIED_V6 : UNSPECIFIED_V4) as Address
    expect(tryToListen(other, end.port)).toBeGreaterThanOrEqual(0)
    const { demiflow } = await accept(bench(), listening, end)
    expect(demiflow.isV4).toBe(isV4)
  })

  testOf(capabilities.freebind)("binds to addresses that the host lacks only if asked to", () => {
    const foreign = Address.parse(isV4 ? "203.0.113.77" : "2001:db8:ffff::77")
    expect(tryToListen(foreign, end.port)).toBe(-Errno.EADDRNOTAVAIL)
    expect(tryToListen(foreign, end.port, { freebind: true })).toBeGreaterThanOrEqual(0)
  })

  it("refuses interfaces that the host lacks", () => {
    const { port } = bench().under.ownEnd(isV4)
    expect(tryToListen(end.address, port, { interfaceName: "nosuch0" })).toBe(-ENODEV)
  })
}

const ENODEV = 19

/** The tests of a host's TCP sockets that listen for any address. */
export function dualStackTcpTests(bench: () => SocketsBench): void {
  it("takes connections over both, each with addresses of its own version", async () => {
    const { port } = bench().under.ownEnd(true)
    const listening = listenAt(bench(), undefined, port)
    for (const isV4 of [true, false]) {
      const end = { address: bench().under.ownEnd(isV4).address, port }
      const { client, demiflow } = await accept(bench(), listening, end)
      expect([demiflow.forwardingAddress.toString(), demiflow.forwardingPort]).toEqual([end.address.toString(), port])
      expect(demiflow.correspondentAddress.toString()).toBe(client.ownEnd.address.toString())
      expect(demiflow.correspondentPort).toBe(client.ownEnd.port)
    }
    for (const address of [UNSPECIFIED_V4, UNSPECIFIED_V6]) {
      const end = bench().listeningEnd(address as Address, port)
      expect(bench().under.sockets.tcpListen(bench().newListener(), end)).toBe(-Errno.EADDRINUSE)
    }
  })

  for (const isV4 of [true, false]) {
    it(`takes none over the other version where it listens for ${isV4 ? "IPv4" : "IPv6"} alone`, async () => {
      const { port } = bench().under.ownEnd(isV4)
      const listening = listenAt(bench(), isV4 ? UNSPECIFIED_V4 : UNSPECIFIED_V6, port)
      const other = bench().under.connect({ address: bench().under.ownEnd(!isV4).address, port })
      await bench().until("it is refused", () => other.isRefused)
      const { demiflow } = await accept(bench(), listening, { address: bench().under.ownEnd(isV4).address, port })
      expect(demiflow.isV4).toBe(isV4)
    })
  }
}
