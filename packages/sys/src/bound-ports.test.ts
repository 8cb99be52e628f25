import { IpProtocol, type ListenerRef, type SideRef } from "@demiflow/core"
import { afterAll, afterEach, describe, expect, test } from "vitest"
import { BoundPorts } from "./bound-ports.ts"
import { AddressFamily, SocketType } from "./constants.ts"
import { LinuxSockets } from "./linux-sockets.ts"
import { VisitedNamespace } from "./namespace/network-namespace.ts"
import type { Native } from "./native.ts"
import { SOCKET_ADDRESS_BYTES, writeSocketAddress } from "./socket-address.ts"
import {
  arena,
  bound,
  Events,
  loopback,
  missing,
  native,
  openPingNamespace,
  towards,
  unusedPort,
} from "./test-support.ts"

const { tcp, udp } = IpProtocol
const EPROTONOSUPPORT = 93
const ENOBUFS = 105

const opened: number[] = []
const closeAll = () => {
  for (const descriptor of opened.splice(0)) native.close(descriptor)
}
afterEach(closeAll)

/** A bound port, closed after the test. */
function take(isV4: boolean, type: 1 | 2): number {
  const { descriptor, port } = bound(isV4, type)
  opened.push(descriptor)
  return port
}

/** The port of a socket connected to another one on loopback, closed after the test. */
function connected(isV4: boolean, type: 1 | 2, remotePort: number): number {
  const local = unusedPort()
  const family = isV4 ? AddressFamily.ipv4 : AddressFamily.ipv6
  const socket = native.socket(family, type, 0)
  opened.push(socket)
  const address = arena.reserve(SOCKET_ADDRESS_BYTES)
  expect(native.bind(socket, address, writeSocketAddress(arena.view, address, loopback(isV4), local))).toBe(0)
  const length = writeSocketAddress(arena.view, address, loopback(isV4), remotePort)
  expect([0, -115]).toContain(native.connect(socket, address, length))
  return local
}

/** A kernel that doesn't list sockets over netlink. */
const withoutNetlink: Native = Object.assign(Object.create(native), {
  socketInNamespace: (namespace: number, domain: number, type: number, protocol: number): number =>
    domain === AddressFamily.netlink ? -EPROTONOSUPPORT : native.socketInNamespace(namespace, domain, type, protocol),
})

describe.each([
  ["netlink", native],
  ["/proc", withoutNetlink],
])("by %s", (_name, kernel) => {
  const ports = new BoundPorts(kernel, arena)
  afterAll(() => ports.close())

  test.each([true, false])("listening TCP and bound UDP sockets are found, and gone once closed (IPv4: %s)", (isV4) => {
    const stream = take(isV4, SocketType.stream)
    const datagram = take(isV4, SocketType.datagram)
    expect(ports.of(tcp)).toContain(stream)
    expect(ports.of(udp)).toContain(datagram)
    closeAll()
    expect(ports.of(tcp)).not.toContain(stream)
    expect(ports.of(udp)).not.toContain(datagram)
  })

  test.each([true, false])("those that are connected, or bound and don't listen, aren't (IPv4: %s)", (isV4) => {
    const stream = connected(isV4, SocketType.stream, take(isV4, SocketType.stream))
    const datagram = connected(isV4, SocketType.datagram, take(isV4, SocketType.datagram))
    expect(ports.of(tcp)).not.toContain(stream)
    expect(ports.of(udp)).not.toContain(datagram)
    expect(ports.connected(udp)).toContain(datagram)
    expect(ports.connected(tcp)).not.toContain(stream)
    const silent = native.socket(isV4 ? AddressFamily.ipv4 : AddressFamily.ipv6, SocketType.stream, 0)
    opened.push(silent)
    const port = unusedPort()
    const address = arena.reserve(SOCKET_ADDRESS_BYTES)
    expect(native.bind(silent, address, writeSocketAddress(arena.view, address, loopback(isV4), port))).toBe(0)
    expect(ports.of(tcp)).not.toContain(port)
  })

  test("lists that are longer than what is read at once are read whole", () => {
    for (const [protocol, type] of [
      [tcp, SocketType.stream],
      [udp, SocketType.datagram],
    ] as const) {
      const many = Array.from({ length: 800 }, () => take(true, type))
      const found = ports.of(protocol)
      expect(many.filter((port) => !found.has(port))).toEqual([])
      closeAll()
    }
  })

  test.skipIf(missing !== "")(`each namespace has its own${missing}`, async () => {
    const outside = take(true, SocketType.stream)
    const namespace = await openPingNamespace()
    const inside = new BoundPorts(kernel, arena, new VisitedNamespace(kernel, arena, namespace.descriptor))
    try {
      expect(inside.of(tcp)).toEqual(new Set())
      expect(inside.of(udp)).toEqual(new Set())
      expect(ports.of(tcp)).toContain(outside)
      const socket = namespace.sockets.open(AddressFamily.ipv4, SocketType.datagram, 0)
      opened.push(socket)
      const address = arena.reserve(SOCKET_ADDRESS_BYTES)
      expect(native.bind(socket, address, writeSocketAddress(arena.view, address, loopback(true), 6053))).toBe(0)
      expect(inside.of(udp)).toEqual(new Set([6053]))
      expect(ports.of(udp)).not.toContain(6053)
    } finally {
      inside.close()
      namespace.close()
    }
  })
})

test.each([true, false])("ports of flows aren't among them, listening ones are (IPv4: %s)", (isV4) => {
  const events = new Events()
  const sockets = new LinuxSockets(native, arena, events.loop)
  const ports = new BoundPorts(native, arena)
  const target = Object.assign(towards(isV4, 9), { forwardingPort: unusedPort() })
  const port = unusedPort()
  const opened = [
    sockets.udpBind(0 as SideRef, target),
    sockets.udpListen(0 as ListenerRef, { address: undefined, port, interfaceName: undefined, freebind: false }),
  ]
  try {
    expect(Math.min(...opened)).toBeGreaterThanOrEqual(0)
    const found = ports.of(udp)
    expect([found.has(target.forwardingPort), found.has(port)]).toEqual([false, true])
    expect(ports.connected(udp)).not.toContain(target.forwardingPort)
  } finally {
    for (const socket of opened) sockets.close(socket)
    ports.close()
  }
})

test("the kernel is asked anew after an answer of which most was never read", () => {
  let isBroken = false
  const breaking: Native = Object.assign(Object.create(native), {
    receiveVectors(descriptor: number, vectors: number, count: number, flags: number): number {
      if (!isBroken) return native.receiveVectors(descriptor, vectors, count, flags)
      isBroken = false
      return -ENOBUFS
    },
  })
  const ports = new BoundPorts(breaking, arena)
  const before = new Set(ports.of(udp))
  const many = Array.from({ length: 1200 }, () => take(true, SocketType.datagram))
  isBroken = true
  expect(ports.of(udp)).toEqual(before)
  const found = ports.of(udp)
  expect(many.filter((port) => !found.has(port))).toEqual([])
  ports.close()
})

describe("of descriptors", () => {
  const count = () => {
    const probe = native.socket(AddressFamily.ipv4, SocketType.datagram, 0)
    native.close(probe)
    return probe
  }

  test.each([
    ["netlink", native],
    ["/proc", withoutNetlink],
  ])("none is left over, by %s", (_name, kernel) => {
    const before = count()
    const ports = new BoundPorts(kernel, arena)
    expect(count()).toBeGreaterThan(before)
    ports.close()
    expect(count()).toBe(before)
  })
})
