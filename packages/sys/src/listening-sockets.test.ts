import { readdirSync } from "node:fs"
import {
  Address,
  DatagramBatch,
  Demiflow,
  Errno,
  Interface,
  type ListenerRef,
  type ListeningEnd,
  type SideRef,
  type Socket,
  SocketEvent,
  UNSPECIFIED_V4,
  UNSPECIFIED_V6,
  Vectors,
} from "@demiflow/core"
import { describe, expect, it } from "vitest"
import { AddressFamily, IpOption, Ipv6Option, SocketLevel, SocketOption, SocketType, TcpOption } from "./constants.ts"
import { checkResult } from "./errno.ts"
import { LinuxSockets } from "./linux-sockets.ts"
import type { Native } from "./native.ts"
import { SOCKET_ADDRESS_BYTES, writeSocketAddress } from "./socket-address.ts"
import { arena, Events, loopback, missing, native, openPingNamespace, towards, unusedPort } from "./test-support.ts"

// The compliance suite covers what every host does. Here: what the kernel does, and that no socket is left behind.

const events = new Events()
const sockets = new LinuxSockets(native, arena, events.loop)
const LISTENER = 3 as ListenerRef
const SIDE = 8 as SideRef
const EADDRINUSE = -Errno.EADDRINUSE
const region = arena.reserve(8 * 2_048, 64)
const name = arena.reserve(SOCKET_ADDRESS_BYTES, 8)
const vectors = new Vectors(arena, 1)
const batch = new DatagramBatch(8)
const ends = Array.from({ length: 8 }, () => new Demiflow(Interface.host))

const listeningEnd = (port: number, more: Partial<ListeningEnd> = {}): ListeningEnd => ({
  address: undefined,
  port,
  interfaceName: undefined,
  freebind: false,
  ...more,
})
const openDescriptors = (): number => readdirSync("/proc/self/fd").length

/** A correspondent's socket on loopback. */
function correspondent(isV4: boolean, type: 1 | 2, port: number): number {
  const family = isV4 ? AddressFamily.ipv4 : AddressFamily.ipv6
  const descriptor = checkResult(native.socket(family, type, 0), "make a socket")
  const length = writeSocketAddress(arena.view, name, loopback(isV4), port)
  const result = native.connect(descriptor, name, length)
  expect([0, -Errno.EINPROGRESS]).toContain(result)
  return descriptor
}

function accept(listening: Socket, demiflow: Demiflow): Socket {
  for (let turn = 0; turn < 1_000; turn++) {
    const socket = sockets.tcpAccept(listening, demiflow)
    if (socket !== -Errno.EAGAIN) return socket
    events.loop.round(1_000)
  }
  throw new Error("Nobody came")
}

function send(descriptor: number, text: string): void {
  arena.bytes.set(new TextEncoder().encode(text), region)
  vectors.set(0, region, text.length)
  expect(native.sendVectors(descriptor, vectors.offset, 1, 0)).toBe(text.length)
}

/** Waits for datagrams. Returns how many arrived, or the error. */
function receive(from: LinuxSockets, socket: Socket): number {
  for (let index = 0; index < batch.capacity; index++) {
    batch.offset[index] = region + index * 2_048
    batch.length[index] = 2_048
  }
  for (let turn = 0; turn < 1_000; turn++) {
    const count = from.receiveFromAnyone(socket, batch, ends, batch.capacity)
    if (count !== -Errno.EAGAIN) return count
    events.loop.round(1_000)
  }
  return -Errno.EAGAIN
}

/** Runs the body with a loop that accepts no descriptor. */
function withoutWatching(body: () => number): number {
  const { loop } = events
  const watchFlow = loop.watchFlow
  loop.watchFlow = () => -Errno.ENOBUFS
  try {
    return body()
  } finally {
    loop.watchFlow = watchFlow
  }
}

describe("accepted sockets", () => {
  for (const address of [undefined, "127.0.0.1", "::1"]) {
    it(`have the options of the socket that listens, on ${address ?? "any address"}`, () => {
      const bound = address === undefined ? undefined : Address.parse(address)
      const port = unusedPort()
      const listening = sockets.tcpListen(LISTENER, listeningEnd(port, { address: bound }))
      const client = correspondent(bound?.isV4 ?? true, SocketType.stream, port)
      const socket = accept(listening, new Demiflow())
      expect(native.getOptionInteger(socket, SocketLevel.tcp, TcpOption.noDelay)).toBe(1)
      expect(native.getOptionInteger(socket, SocketLevel.socket, SocketOption.urgentInLine)).toBe(1)
      for (const descriptor of [listening, socket]) sockets.close(descriptor)
      native.close(client)
    })
  }

  for (const [isV4, address] of [
    [true, undefined],
    [false, undefined],
    [true, "127.0.0.1"],
  ] as const) {
    const name = `${isV4 ? "IPv4" : "IPv6"} connection of ${address ?? "any address"}`
    it(`report the traffic class of the SYN, and take marks of their own: an ${name}`, () => {
      const port = unusedPort()
      const bound = address === undefined ? undefined : Address.parse(address)
      const listening = sockets.tcpListen(LISTENER, listeningEnd(port, { address: bound }))
      const client = sockets.tcpConnect(SIDE, towards(isV4, port), 7, 0xbb, true)
      expect(client).toBeGreaterThanOrEqual(0)
      const options = (socket: number) =>
        isV4
          ? [IpOption.timeToLive, IpOption.typeOfService, IpOption.receiveErrors].map((option) =>
              native.getOptionInteger(socket, SocketLevel.ip, option),
            )
          : [Ipv6Option.unicastHops, Ipv6Option.trafficClass, Ipv6Option.receiveErrors].map((option) =>
              native.getOptionInteger(socket, SocketLevel.ipv6, option),
            )
      expect(options(client)).toEqual([7, 0xb8, 1])
      sockets.stopQueuingErrors(client, isV4)
      expect(options(client)).toEqual([7, 0xb8, 0])
      const socket = accept(listening, new Demiflow())
      // Without ECN, which the kernels handle.
      expect(sockets.acceptedTrafficClass(socket)).toBe(0xb8)
      expect(sockets.acceptedTrafficClass(socket)).toBe(0)
      expect(sockets.setHopLimit(socket, isV4, 9)).toBe(0)
      expect(sockets.setTrafficClass(socket, isV4, 0x48)).toBe(0)
      expect(options(socket)).toEqual([9, 0x48, 0])
      for (const descriptor of [listening, socket, client]) sockets.close(descriptor)
    })
  }

  it("peek at any place, also where an IPv4 connection is one of a dual-stack socket", () => {
    const port = unusedPort()
    const listening = sockets.tcpListen(LISTENER, listeningEnd(port))
    const client = correspondent(true, SocketType.stream, port)
    const demiflow = new Demiflow()
    const socket = accept(listening, demiflow)
    expect(demiflow.toString()).toMatch(/127\.0\.0\.1:\d+ → 127\.0\.0\.1:\d+$/)
    send(client, "0123456789")
    expect(sockets.watch(socket, SIDE)).toBe(0)
    events.until(SIDE, SocketEvent.readable)
    const peek = (length: number, skip: number) => {
      vectors.set(0, region, length)
      const peeked = sockets.peek(socket, vectors, 0, 1, skip)
      return Buffer.from(arena.buffer, region, Math.max(0, peeked)).toString()
    }
    expect([peek(4, 3), peek(4, 0), peek(9, 8)]).toEqual(["3456", "0123", "89"])
    expect(sockets.discard(socket, 5)).toBe(5)
    expect(peek(4, 1)).toBe("6789")
    for (const descriptor of [listening, socket]) sockets.close(descriptor)
    native.close(client)
  })
})

describe("a UDP socket that listens", () => {
  it("notices another program's, and shares the port with no one, whatever that does", () => {
    const port = unusedPort()
    const bindShared = () => {
      const other = checkResult(native.socket(AddressFamily.ipv4, SocketType.datagram, 0), "make a socket")
      native.setOptionInteger(other, SocketLevel.socket, SocketOption.reuseAddress, 1)
      const length = writeSocketAddress(arena.view, name, loopback(true), port)
      return [other, native.bind(other, name, length)]
    }
    const own = Object.assign(towards(true, 9), { forwardingPort: port })
    const [other, bound] = bindShared()
    expect(bound).toBe(0)
    expect(sockets.udpListen(LISTENER, listeningEnd(port))).toBe(EADDRINUSE)
    expect(sockets.udpBind(SIDE, own)).toBe(EADDRINUSE)
    native.close(other)
    for (const open of [() => sockets.udpListen(LISTENER, listeningEnd(port)), () => sockets.udpBind(SIDE, own)]) {
      const socket = open()
      expect(socket).toBeGreaterThanOrEqual(0)
      const [late, refused] = bindShared()
      expect(refused).toBe(EADDRINUSE)
      native.close(late)
      sockets.close(socket)
    }
  })

  it("receives several datagrams of one sender together", () => {
    const port = unusedPort()
    const listening = sockets.udpListen(LISTENER, listeningEnd(port))
    const sender = sockets.udpOpen(SIDE, towards(true, port))
    batch.offset[0] = region
    batch.length[0] = 1_500
    batch.segmentSize[0] = 600
    expect(sockets.sendDatagrams(sender, batch, 0, 1)).toBe(1)
    expect(receive(sockets, listening)).toBe(1)
    expect([batch.length[0], batch.segmentSize[0]]).toEqual([1_500, 600])
    for (const each of [listening, sender]) sockets.close(each)
  })

  it("reports of broadcast datagrams the address of the host that would answer", () => {
    for (const address of [undefined, UNSPECIFIED_V4]) {
      const port = unusedPort()
      const listening = sockets.udpListen(LISTENER, listeningEnd(port, { address: address as Address | undefined }))
      const sender = checkResult(native.socket(AddressFamily.ipv4, SocketType.datagram, 0), "make a socket")
      native.setOptionInteger(sender, SocketLevel.socket, SocketOption.broadcast, 1)
      const length = writeSocketAddress(arena.view, name, Address.parse("127.255.255.255"), port)
      expect(native.connect(sender, name, length)).toBe(0)
      send(sender, "everybody")
      expect(receive(sockets, listening)).toBe(1)
      expect(ends[0].forwardingAddress.toString()).toBe("127.0.0.1")
      native.close(sender)
      sockets.close(listening)
    }
  })
})

const itAsRoot = it.skipIf(missing !== "")

itAsRoot("link-local correspondents are answered over the interface that they were heard on", async () => {
  // The other end of the cable is on this machine too, and must not receive anything.
  const commands = [
    "ip link add cable0 index 7 type veth peer cable1",
    "echo 1 > /proc/sys/net/ipv6/conf/cable1/disable_ipv6",
    "ip link set cable0 up",
    "ip link set cable1 up",
    "ip address add fe80::1/64 dev cable0 nodad",
  ]
  const namespace = await openPingNamespace(commands.join(" && "))
  const inside = new LinuxSockets(native, arena, events.loop, { sockets: namespace.sockets })
  const address = Address.parse("fe80::1")
  const listening = inside.udpListen(LISTENER, listeningEnd(5_000))
  const socket = native.socketInNamespace(namespace.descriptor, AddressFamily.ipv6, SocketType.datagram, 0)
  expect(native.bind(socket, name, writeSocketAddress(arena.view, name, address, 5_001, 7))).toBe(0)
  expect(native.connect(socket, name, writeSocketAddress(arena.view, name, address, 5_000, 7))).toBe(0)
  send(socket, "question")
  expect(receive(inside, listening)).toBe(1)
  expect(ends[0].toString()).toBe("host [fe80::1]:5000 → [fe80::1]:5001")
  expect(batch.scope[0]).toBe(7)
  batch.offset[0] = region
  batch.length[0] = 6
  batch.segmentSize[0] = 0
  expect(inside.sendDatagramsTo(listening, ends[0], 7, batch, 0, 1)).toBe(1)
  vectors.set(0, region, 100)
  expect(native.receiveVectors(socket, vectors.offset, 1, 0)).toBe(6)

  // A group's address can't be a source: the kernel chooses one.
  const groupLength = writeSocketAddress(arena.view, name, Address.parse("ff02::1"), 5_000, 7)
  const other = native.socketInNamespace(namespace.descriptor, AddressFamily.ipv6, SocketType.datagram | 0o4000, 0)
  expect(native.connect(other, name, groupLength)).toBe(0)
  send(other, "everybody")
  expect(receive(inside, listening)).toBe(1)
  expect(ends[0].forwardingAddress.equals(UNSPECIFIED_V6)).toBe(true)
  batch.length[0] = 6
  expect(inside.sendDatagramsTo(listening, ends[0], batch.scope[0], batch, 0, 1)).toBe(1)
  inside.close(listening)
  for (const each of [socket, other]) native.close(each)

  // The usual link of such addresses needs no name, nor does the interface that a socket is bound to. Without either,
  // what the guest sends leaves by any link, and replies are accepted from any.
  const own = Object.assign(new Demiflow(Interface.host), { forwardingPort: 5_002 })
  for (const [options, bind] of [
    [{ linkLocalScope: 7 }, (there: LinuxSockets) => there.udpListen(LISTENER, listeningEnd(5_002))],
    [{ interfaceV6: "cable0" }, (there: LinuxSockets) => there.udpBind(SIDE, own)],
    [{}, (there: LinuxSockets) => there.udpBind(SIDE, own)],
  ] as const) {
    const there = new LinuxSockets(native, arena, events.loop, { sockets: namespace.sockets, ...options })
    const port = bind(there)
    const sender = native.socketInNamespace(namespace.descriptor, AddressFamily.ipv6, SocketType.datagram, 0)
    expect(native.connect(sender, name, writeSocketAddress(arena.view, name, address, 5_002, 7))).toBe(0)
    send(sender, "question")
    expect(receive(there, port)).toBe(1)
    expect(ends[0].correspondentAddress.equals(address)).toBe(true)
    expect(batch.scope[0]).toBe(0)
    native.close(sender)
    there.close(port)
  }
  namespace.close()
})

const address77 = Address.parse("2001:db8:77::5")
for (const [where, end] of [
  ["that address", { address: address77, freebind: true }],
  ["any address", {}],
  ["any address of IPv6", { address: UNSPECIFIED_V6 as Address }],
] as const) {
  itAsRoot(`answers from an address that is the host's by a route alone, listening at ${where}`, async () => {
    const namespace = await openPingNamespace("ip link set lo up && ip -6 route add local 2001:db8:77::/64 dev lo")
    const inside = new LinuxSockets(native, arena, events.loop, { sockets: namespace.sockets })
    const refused = inside.udpListen(LISTENER, listeningEnd(5_000, { address: address77 }))
    expect(refused).toBe(-Errno.EADDRNOTAVAIL)
    const listening = inside.udpListen(LISTENER, listeningEnd(5_000, end))
    const socket = native.socketInNamespace(namespace.descriptor, AddressFamily.ipv6, SocketType.datagram, 0)
    expect(native.bind(socket, name, writeSocketAddress(arena.view, name, loopback(false), 5_001))).toBe(0)
    expect(native.connect(socket, name, writeSocketAddress(arena.view, name, address77, 5_000))).toBe(0)
    send(socket, "question")
    expect(receive(inside, listening)).toBe(1)
    expect(ends[0].toString()).toBe("host [2001:db8:77::5]:5000 → [::1]:5001")
    batch.length[0] = 6
    expect(inside.sendDatagramsTo(listening, ends[0], 0, batch, 0, 1)).toBe(1)
    vectors.set(0, region, 100)
    expect(native.receiveVectors(socket, vectors.offset, 1, 0)).toBe(6)
    inside.close(listening)
    native.close(socket)
    namespace.close()
  })
}

describe("a host whose kernel", () => {
  const hostWith = (changes: Partial<Native>) => new LinuxSockets({ ...native, ...changes }, arena, events.loop)
  const EAFNOSUPPORT = 97

  it("has no IPv6 listens for IPv4 alone", () => {
    const withoutV6 = hostWith({
      socket: (domain, type, protocol) =>
        domain === AddressFamily.ipv6 ? -EAFNOSUPPORT : native.socket(domain, type, protocol),
    })
    const port = unusedPort()
    const listening = withoutV6.tcpListen(LISTENER, listeningEnd(port))
    expect(listening).toBeGreaterThanOrEqual(0)
    const demiflow = new Demiflow()
    expect(withoutV6.boundEnd(listening, demiflow)).toBe(0)
    expect(demiflow.forwardingAddress.equals(UNSPECIFIED_V4)).toBe(true)
    const specific = listeningEnd(port, { address: UNSPECIFIED_V6 as Address })
    expect(withoutV6.udpListen(LISTENER, specific)).toBe(-EAFNOSUPPORT)
    withoutV6.close(listening)
  })

  it("has a peek offset for IPv4 alone does without it for all connections of a dual-stack socket", () => {
    const families = new Map<number, number>()
    const set: number[] = []
    const withoutV6Offset = hostWith({
      socket(domain, type, protocol) {
        const descriptor = native.socket(domain, type, protocol)
        families.set(descriptor, domain)
        return descriptor
      },
      setOptionInteger(descriptor, level, option, value) {
        if (option !== SocketOption.peekOffset) return native.setOptionInteger(descriptor, level, option, value)
        set.push(descriptor)
        return families.get(descriptor) === AddressFamily.ipv6 ? -95 : 0
      },
    })
    const port = unusedPort()
    const listening = withoutV6Offset.tcpListen(LISTENER, listeningEnd(port))
    const client = correspondent(true, SocketType.stream, port)
    events.loop.round(1_000)
    const socket = withoutV6Offset.tcpAccept(listening, new Demiflow())
    send(client, "0123456789")
    expect(withoutV6Offset.watch(socket, SIDE)).toBe(0)
    // The host used descriptors that are reused afterwards.
    set.length = 0
    events.until(SIDE, SocketEvent.readable)
    vectors.set(0, region, 4)
    expect(withoutV6Offset.peek(socket, vectors, 0, 1, 3)).toBe(4)
    expect(Buffer.from(arena.buffer, region, 4).toString()).toBe("3456")
    expect(set).not.toContain(socket)
    for (const each of [listening, socket]) withoutV6Offset.close(each)
    native.close(client)
  })

  const port = unusedPort()
  const ways: [string, (sockets: LinuxSockets) => number][] = [
    ["tcpListen", (failing) => failing.tcpListen(LISTENER, listeningEnd(port))],
    [
      "tcpListen on an interface",
      (failing) => failing.tcpListen(LISTENER, listeningEnd(port, { interfaceName: "lo" })),
    ],
    ["udpListen", (failing) => failing.udpListen(LISTENER, listeningEnd(port))],
    ["udpBind", (failing) => failing.udpBind(SIDE, Object.assign(towards(true, 9), { forwardingPort: port }))],
  ]
  for (const [what, open] of ways) {
    for (const call of ["socket", "bind", "listen", "connect", "epollControl", "setOption"] as const) {
      it(`fails at ${call} leaves no descriptor behind: ${what}`, () => {
        const before = openDescriptors()
        let failed = 0
        const failing = hostWith({
          [call]: () => {
            failed++
            return -Errno.ENOBUFS
          },
          // The loop's own calls don't go through the host's addon.
          ...(call === "epollControl" ? { epollControl: native.epollControl } : {}),
        })
        const result = call === "epollControl" ? withoutWatching(() => open(failing)) : open(failing)
        if (failed > 0 || call === "epollControl") expect(result).toBe(-Errno.ENOBUFS)
        else sockets.close(result as Socket)
        expect(openDescriptors()).toBe(before)
        // Nothing keeps the port busy: it can be opened again, even for UDP, which checks all sockets.
        const again = sockets.udpListen(LISTENER, listeningEnd(port))
        expect(again).toBeGreaterThanOrEqual(0)
        sockets.close(again)
      })
    }
  }

  it("can't name an accepted socket leaves no descriptor behind", () => {
    const listening = sockets.tcpListen(LISTENER, listeningEnd(port))
    const client = correspondent(true, SocketType.stream, port)
    events.loop.round(1_000)
    const before = openDescriptors()
    const failing = hostWith({ getSocketName: () => -Errno.ENOBUFS })
    expect(failing.tcpAccept(listening, new Demiflow())).toBe(-Errno.ENOBUFS)
    expect(openDescriptors()).toBe(before)
    sockets.close(listening)
    native.close(client)
  })

  it("has no place in the loop says so of an accepted socket, which stays open", () => {
    const listening = sockets.tcpListen(LISTENER, listeningEnd(port))
    const client = correspondent(true, SocketType.stream, port)
    const socket = accept(listening, new Demiflow())
    expect(withoutWatching(() => sockets.watch(socket, SIDE))).toBe(-Errno.ENOBUFS)
    expect(sockets.watch(socket, SIDE)).toBe(0)
    for (const each of [listening, socket]) sockets.close(each)
    native.close(client)
  })
})
