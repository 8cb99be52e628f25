import {
  Address,
  Arena,
  DatagramBatch,
  Demiflow,
  Errno,
  Interface,
  type ListenerRef,
  type ListeningEnd,
  type SideRef,
  SocketEvent,
} from "@demiflow/core"
import { describe, expect, it } from "vitest"
import { toText } from "../bytes.ts"
import { VirtualClock } from "../virtual-clock.ts"
import { SimulatedSockets } from "./simulated-sockets.ts"
import type { SimulatedSocketsOptions } from "./simulated-sockets-options.ts"
import type { WorldConnection } from "./world-connection.ts"

// The compliance suite tests what every host does. These tests cover the simulated host's own features.

const LISTENER = 4 as ListenerRef
const CLIENT = { address: "198.51.100.7", port: 5_000 }
const SERVICE = { address: "192.0.2.1", port: 80 }

function bench(options: Partial<SimulatedSocketsOptions> = {}) {
  const clock = new VirtualClock()
  const arena = new Arena(1 << 20)
  const sockets = new SimulatedSockets({ clock, arena, ...options })
  const region = arena.reserve(65_536)
  const batch = new DatagramBatch(8)
  const ends = Array.from({ length: 8 }, () => new Demiflow(Interface.host))
  return {
    clock,
    sockets,
    world: sockets.world,
    /** Lets time pass. Returns the bits reported for the listener. */
    pass(milliseconds = 0): number {
      let reported = 0
      clock.advance(milliseconds)
      sockets.poll(
        () => {},
        (listener, events) => {
          expect(listener).toBe(LISTENER)
          reported |= events
        },
      )
      return reported
    },
    /** The datagrams that wait at the socket: source, target, content. */
    receive(socket: Parameters<SimulatedSockets["receiveFromAnyone"]>[0]): string[] {
      for (let index = 0; index < 8; index++) {
        batch.offset[index] = region + index * 4_096
        batch.length[index] = 4_096
      }
      const count = Math.max(0, sockets.receiveFromAnyone(socket, batch, ends, 8))
      return ends.slice(0, count).map(({ correspondentAddress, forwardingAddress }, index) => {
        const content = arena.bytes.subarray(batch.offset[index], batch.offset[index] + batch.length[index])
        return `${correspondentAddress} → ${forwardingAddress}: ${toText(content)}`
      })
    },
    ends,
  }
}

function end(port: number, address?: string, more: Partial<ListeningEnd> = {}): ListeningEnd {
  const bound = address === undefined ? undefined : Address.parse(address)
  return { address: bound, port, interfaceName: undefined, freebind: false, ...more }
}

describe("a connection from the world", () => {
  it("takes a round trip to be made, and half of one more until it can be accepted", () => {
    const { sockets, world, pass } = bench({ rtt: 100 })
    const listening = sockets.tcpListen(LISTENER, end(80))
    const connection = world.connect(CLIENT, SERVICE)
    let connectedAt = -1
    connection.onConnected = () => {
      connectedAt = 100
    }
    connection.write("at once")
    expect([pass(99), connection.isConnected]).toEqual([0, false])
    expect([pass(1), connection.isConnected, connectedAt]).toEqual([0, true, 100])
    expect(pass(50)).toBe(SocketEvent.readable)
    const socket = sockets.tcpAccept(listening, new Demiflow())
    expect(sockets.unread(socket)).toBe(7)
    expect(sockets.opened).toBe(1)
  })

  it("is refused after a round trip where nobody listens", () => {
    const { world, pass } = bench({ rtt: 100 })
    const connection = world.connect(CLIENT, SERVICE)
    const failures: string[] = []
    connection.onFailure = (failure) => failures.push(failure)
    pass(99)
    expect(failures).toEqual([])
    pass(1)
    expect([failures, connection.isOver, connection.isConnected]).toEqual([["refused"], true, false])
    connection.write("unheard")
    expect(connection.unacknowledged).toBe(0)
  })

  it("is tried again while too many wait, and given up in the end", () => {
    const { sockets, world, pass } = bench({ backlog: 2, connectTimeout: 10_000 })
    const listening = sockets.tcpListen(LISTENER, end(80))
    const connect = (port: number) => world.connect({ ...CLIENT, port }, SERVICE)
    const [first, second, third] = [connect(1), connect(2), connect(3)]
    const states = (...connections: WorldConnection[]) => connections.map(({ isConnected }) => isConnected)
    pass()
    expect(states(first, second, third)).toEqual([true, true, false])
    expect(sockets.tcpAccept(listening, new Demiflow())).toBeGreaterThan(0)
    pass(999)
    expect(states(third)).toEqual([false])
    expect(pass(1)).toBe(SocketEvent.readable)
    expect(states(third)).toEqual([true])
    const fourth = connect(4)
    pass(9_999)
    expect(fourth.failure).toBe(undefined)
    pass(1)
    expect(fourth.failure).toBe("timedOut")
  })

  it("may be reset before it is made, and before it is accepted", () => {
    const { sockets, world, pass } = bench({ rtt: 10 })
    const listening = sockets.tcpListen(LISTENER, end(80))
    world.connect(CLIENT, SERVICE).reset()
    expect(pass(100)).toBe(0)
    const connection = world.connect({ ...CLIENT, port: 5_001 }, SERVICE)
    pass(15)
    connection.reset()
    pass(5)
    const socket = sockets.tcpAccept(listening, new Demiflow())
    expect(sockets.socketError(socket)).toBe(-Errno.ECONNRESET)
  })

  it("waits for a descriptor", () => {
    const { sockets, world, pass } = bench({ descriptors: 2 })
    const listening = sockets.tcpListen(LISTENER, end(80))
    const other = sockets.udpListen(LISTENER, end(53))
    expect(sockets.tcpListen(LISTENER, end(81))).toBe(-Errno.EMFILE)
    world.connect(CLIENT, SERVICE)
    pass()
    expect(sockets.tcpAccept(listening, new Demiflow())).toBe(-Errno.EMFILE)
    sockets.close(other)
    expect(sockets.tcpAccept(listening, new Demiflow())).toBeGreaterThan(0)
    expect([sockets.openSockets, sockets.listeningSockets]).toEqual([2, 1])
  })

  it("comes to who listens for just this, by interface and by address", () => {
    const { sockets, world, pass } = bench({ interfaces: ["eth0", "eth1"] })
    const [everywhere, here, there] = [
      sockets.tcpListen(LISTENER, end(80, "0.0.0.0", { interfaceName: "eth0" })),
      sockets.tcpListen(LISTENER, end(80, "192.0.2.1", { interfaceName: "eth1" })),
      sockets.tcpListen(LISTENER, end(80, "::")),
    ]
    expect(Math.min(everywhere, here, there)).toBeGreaterThanOrEqual(0)
    const accepts = () => [everywhere, here, there].map((socket) => sockets.tcpAccept(socket, new Demiflow()) >= 0)
    world.connect(CLIENT, SERVICE)
    pass()
    expect(accepts()).toEqual([true, false, false])
    world.connect(CLIENT, SERVICE, { interfaceName: "eth1" })
    pass()
    expect(accepts()).toEqual([false, true, false])
    expect(sockets.tcpListen(LISTENER, end(80, undefined, { interfaceName: "eth0" }))).toBe(-Errno.EADDRINUSE)
  })

  it("is watched once", () => {
    const { sockets, world, pass } = bench()
    const listening = sockets.tcpListen(LISTENER, end(80))
    world.connect(CLIENT, SERVICE)
    pass()
    const socket = sockets.tcpAccept(listening, new Demiflow())
    expect(sockets.watch(socket, 1 as SideRef)).toBe(0)
    expect(sockets.violations).toEqual([])
    expect(sockets.watch(socket, 2 as SideRef)).toBeLessThan(0)
    expect(sockets.violations).toHaveLength(1)
  })
})

describe("datagrams from the world", () => {
  it("to a group come with the address that they would be answered from, as far as it is known", () => {
    const { sockets, world, pass, receive } = bench()
    const listening = sockets.udpListen(LISTENER, end(5_353))
    world.send(CLIENT, { address: "224.0.0.251", port: 5_353 }, "v4")
    world.send({ address: "2001:db8:1::7", port: 5_000 }, { address: "ff02::fb", port: 5_353 }, "v6")
    expect(pass()).toBe(SocketEvent.readable)
    expect(receive(listening)).toEqual(["198.51.100.7 → 192.0.2.1: v4", "2001:db8:1::7 → ::: v6"])
  })

  it("left together are all of one sender", () => {
    const { sockets, world, pass, receive } = bench({ coalescesDatagrams: true })
    const listening = sockets.udpListen(LISTENER, end(53))
    for (const port of [1, 1, 2, 2]) world.send({ ...CLIENT, port }, { ...SERVICE, port: 53 }, `from ${port}`)
    pass()
    expect(receive(listening).map((text) => text.split(": ")[1])).toEqual(["from 1from 1", "from 2from 2"])
  })

  it("can be sent by a socket that listens, but only to somebody", () => {
    const { sockets, world, pass } = bench()
    const listening = sockets.udpListen(LISTENER, end(53))
    expect(sockets.sendDatagrams(listening, new DatagramBatch(1), 0, 1)).toBe(-89)
    const seen: string[] = []
    world.receive(CLIENT, ({ hostAddress, hostPort }) => seen.push(`${hostAddress} ${hostPort}`))
    const to = Demiflow.of(Interface.host, Address.parse("0.0.0.0"), 0, Address.parse(`${CLIENT.address}`), CLIENT.port)
    expect(sockets.sendDatagramsTo(listening, to, 0, new DatagramBatch(1), 0, 1)).toBe(1)
    pass()
    expect(seen).toEqual(["192.0.2.1 53"])
  })

  it("leave the host from no loopback address, over IPv4", () => {
    const { sockets } = bench()
    const listening = sockets.udpListen(LISTENER, { ...end(53), address: Address.parse("127.0.0.1") })
    const to = Demiflow.of(Interface.host, Address.parse("0.0.0.0"), 0, Address.parse(`${CLIENT.address}`), CLIENT.port)
    expect(sockets.sendDatagramsTo(listening, to, 0, new DatagramBatch(1), 0, 1)).toBe(-Errno.EINVAL)
    to.correspondentAddress.copyFrom(Address.parse("127.0.0.1"))
    expect(sockets.sendDatagramsTo(listening, to, 0, new DatagramBatch(1), 0, 1)).toBe(1)
  })

  it("keep a port from others", () => {
    const { sockets } = bench()
    expect(sockets.udpListen(LISTENER, end(53))).toBeGreaterThan(0)
    const from = Demiflow.of(Interface.host, Address.parse("192.0.2.1"), 53, Address.parse("198.51.100.7"), 9)
    expect(sockets.udpOpen(1 as SideRef, from)).toBe(-Errno.EADDRINUSE)
    expect(sockets.udpBind(1 as SideRef, from)).toBe(-Errno.EADDRINUSE)
    expect(sockets.tcpListen(LISTENER, end(53))).toBeGreaterThan(0)
  })
})
