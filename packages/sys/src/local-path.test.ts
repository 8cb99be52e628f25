import {
  Address,
  DatagramBatch,
  Demiflow,
  Errno,
  Interface,
  type ListenerRef,
  type ListeningEnd,
  LOOPBACK_V4,
  type SideRef,
  type Socket,
  SocketEvent,
  type Sockets,
  UNSPECIFIED_V6,
  Vectors,
} from "@demiflow/core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { DescriptorShare, DescriptorShares, descriptorLimit } from "./descriptor-shares.ts"
import { LinuxSockets } from "./linux-sockets.ts"
import { LinuxLocalPath } from "./local-path.ts"
import {
  arena,
  Events,
  loopback,
  missing,
  native,
  openPingNamespace,
  type PingNamespace,
  towards,
} from "./test-support.ts"

const LISTENER = 1 as ListenerRef
const CONNECTING = 2 as SideRef
const ACCEPTED = 3 as SideRef
const ENODEV = 19
/** No other program is in the namespace. */
const PORT = 5_000
const LINK_LOCAL = "fe80::7"

describe.skipIf(missing !== "")(`the local path${missing}`, () => {
  const events = new Events()
  const shares = new DescriptorShares(native, descriptorLimit())
  const outside = new LinuxSockets(native, arena, events.loop, { shares })
  const region = arena.reserve(8 * 2_048, 64)
  const vectors = new Vectors(arena, 1)
  const batch = new DatagramBatch(8)
  const ends = Array.from({ length: 8 }, () => new Demiflow(Interface.splice))
  let namespace: PingNamespace
  let path: LinuxLocalPath
  let inside: Sockets

  beforeAll(async () => {
    const commands = [
      "ip link add cable0 type veth peer cable1",
      "ip link set cable1 up",
      "ip link set cable0 up",
      `ip addr add ${LINK_LOCAL}/64 dev cable0 nodad`,
    ]
    namespace = await openPingNamespace(commands.join(" && "))
    path = new LinuxLocalPath(native, arena, events.loop, shares, namespace.network, "cable0")
    inside = path.sockets
  })
  afterAll(() => {
    path.close()
    namespace.close()
  })

  const listeningEnd = (more: Partial<ListeningEnd> = {}): ListeningEnd => ({
    address: undefined,
    port: PORT,
    interfaceName: undefined,
    freebind: false,
    ...more,
  })

  function accept(sockets: Sockets, listening: Socket, demiflow: Demiflow): Socket {
    for (let turn = 0; turn < 2_000; turn++) {
      const socket = sockets.tcpAccept(listening, demiflow)
      if (socket !== -Errno.EAGAIN) return socket
      events.loop.round(1_000)
    }
    throw new Error("Nobody came")
  }

  function sendText(sockets: Sockets, socket: Socket, text: string): void {
    arena.bytes.set(new TextEncoder().encode(text), region)
    vectors.set(0, region, text.length)
    expect(sockets.send(socket, vectors, 0, 1)).toBe(text.length)
  }

  function sendDatagram(socket: Socket, length: number): void {
    batch.offset[0] = region
    batch.length[0] = length
    batch.segmentSize[0] = 0
    expect(inside.sendDatagrams(socket, batch, 0, 1)).toBe(1)
  }

  /** Waits for datagrams from any correspondent. Returns how many arrived. */
  function receiveFromAnyone(socket: Socket): number {
    for (let turn = 0; turn < 2_000; turn++) {
      for (let index = 0; index < batch.capacity; index++) {
        batch.offset[index] = region + index * 2_048
        batch.length[index] = 2_048
      }
      const count = inside.receiveFromAnyone(socket, batch, ends, batch.capacity)
      if (count !== -Errno.EAGAIN) return count
      events.loop.round(1_000)
    }
    throw new Error("Nothing came")
  }

  it.each([undefined, "lo"])("takes connections inside, at interface %s", (interfaceName) => {
    for (const isV4 of [true, false]) {
      const listening = inside.tcpListen(LISTENER, listeningEnd({ interfaceName }))
      const connecting = inside.tcpConnect(CONNECTING, towards(isV4, PORT))
      events.until(CONNECTING, SocketEvent.writable)
      const demiflow = new Demiflow(Interface.splice)
      const accepted = accept(inside, listening, demiflow)
      expect(inside.watch(accepted, ACCEPTED)).toBe(0)
      expect(demiflow.interface).toBe(Interface.splice)
      expect(demiflow.forwardingAddress.equals(loopback(isV4))).toBe(true)
      expect(demiflow.forwardingPort).toBe(PORT)
      expect(demiflow.correspondentAddress.equals(loopback(isV4))).toBe(true)
      sendText(inside, connecting, "question")
      events.until(ACCEPTED, SocketEvent.readable)
      expect(inside.unread(accepted)).toBe(8)
      for (const each of [connecting, accepted, listening]) inside.close(each)
    }
  })

  it("takes names of interfaces for those inside", () => {
    const listening = ["lo", "cable0"].map((interfaceName) =>
      inside.tcpListen(LISTENER, listeningEnd({ interfaceName })),
    )
    for (const each of listening) expect(each).toBeGreaterThanOrEqual(0)
    for (const each of listening) inside.close(each)
    expect(outside.tcpListen(LISTENER, listeningEnd({ interfaceName: "cable0" }))).toBe(-ENODEV)
  })

  it.each([undefined, "lo"])("takes datagrams inside, at interface %s, and answers them", (interfaceName) => {
    for (const isV4 of [true, false]) {
      const listening = inside.udpListen(LISTENER, listeningEnd({ interfaceName }))
      const asking = inside.udpOpen(CONNECTING, towards(isV4, PORT))
      expect(asking).toBeGreaterThanOrEqual(0)
      sendDatagram(asking, 30)
      expect(receiveFromAnyone(listening)).toBe(1)
      expect(ends[0].interface).toBe(Interface.splice)
      expect(ends[0].forwardingAddress.equals(loopback(isV4))).toBe(true)
      batch.length[0] = 20
      batch.segmentSize[0] = 0
      expect(inside.sendDatagramsTo(listening, ends[0], 0, batch, 0, 1)).toBe(1)
      events.until(CONNECTING, SocketEvent.readable)
      batch.length[0] = 2_048
      expect(inside.receiveDatagrams(asking, batch, 8)).toBe(1)
      expect(batch.length[0]).toBe(20)
      for (const each of [listening, asking]) inside.close(each)
    }
  })

  it("reaches link-local addresses, which mean nothing without an interface", () => {
    const demiflow = Demiflow.of(Interface.splice, UNSPECIFIED_V6, 0, Address.parse(LINK_LOCAL), PORT)
    const listening = inside.tcpListen(LISTENER, listeningEnd())
    const connecting = inside.tcpConnect(CONNECTING, demiflow)
    events.until(CONNECTING, SocketEvent.writable)
    expect(inside.socketError(connecting)).toBe(0)
    const hearing = inside.udpListen(LISTENER, listeningEnd())
    const asking = inside.udpOpen(CONNECTING, demiflow)
    sendDatagram(asking, 30)
    expect(receiveFromAnyone(hearing)).toBe(1)
    expect(ends[0].forwardingAddress.toString()).toBe(LINK_LOCAL)
    for (const each of [listening, connecting, hearing, asking]) inside.close(each)
  })

  it("moves bytes from a socket outside to one inside", () => {
    const end = listeningEnd({ address: LOOPBACK_V4, port: 0 })
    const ports = [inside, outside].map((sockets) => {
      const listening = sockets.tcpListen(LISTENER, end)
      const demiflow = new Demiflow()
      expect(sockets.boundEnd(listening, demiflow)).toBe(0)
      return { listening, port: demiflow.forwardingPort }
    })
    const client = outside.tcpConnect(10 as SideRef, towards(true, ports[1].port))
    const accepted = accept(outside, ports[1].listening, new Demiflow())
    const onward = inside.tcpConnect(11 as SideRef, towards(true, ports[0].port))
    const server = accept(inside, ports[0].listening, new Demiflow())
    expect(inside.watch(server, 12 as SideRef)).toBe(0)
    events.until(11 as SideRef, SocketEvent.writable)
    events.until(10 as SideRef, SocketEvent.writable)
    const pipe = path.pipes.open()
    sendText(outside, client, "through")
    let filled: number
    do {
      events.loop.round(1_000)
      filled = path.pipes.fill(pipe, accepted)
    } while (filled === -Errno.EAGAIN)
    expect(filled).toBe(7)
    expect(path.pipes.drain(pipe, onward, 7)).toBe(7)
    events.until(12 as SideRef, SocketEvent.readable)
    vectors.set(0, region, 100)
    expect(inside.peek(server, vectors, 0, 1, 0)).toBe(7)
    expect(Buffer.from(arena.bytes.subarray(region, region + 7)).toString()).toBe("through")
    path.pipes.close(pipe)
    for (const each of [client, accepted, ports[1].listening]) outside.close(each)
    for (const each of [onward, server, ports[0].listening]) inside.close(each)
  })

  it("has the descriptors of the process in common with the host outside", () => {
    const own = new DescriptorShares(native, 4_000)
    const other = new LinuxLocalPath(native, arena, events.loop, own, namespace.network)
    expect(other.sockets.mostSockets).toBe(4_000)
    expect(own.allows(DescriptorShare.autoPorts, 1_000)).toBe(false)
    const listening = other.sockets.tcpListen(LISTENER, listeningEnd())
    expect(own.allows(DescriptorShare.autoPorts, 1_000)).toBe(true)
    other.sockets.close(listening)
    other.close()
  })

  it("opens ports that follow others up to an eighth of the descriptors, and leaves as many to those outside", () => {
    const next = native.createEvent(0)
    native.close(next)
    const few = new DescriptorShares(native, 6 * next)
    const sockets = new LinuxSockets(native, arena, events.loop, { shares: few })
    const other = new LinuxLocalPath(native, arena, events.loop, few, namespace.network)
    const auto = listeningEnd({ address: LOOPBACK_V4, port: 0, isAuto: true })
    expect(other.sockets.tcpListen(LISTENER, auto)).toBe(-Errno.EMFILE)
    const listening = sockets.tcpListen(LISTENER, auto)
    expect(listening).toBeGreaterThanOrEqual(next)
    sockets.close(listening)
    other.close()
  })

  it("opens sockets for exchanges that begin outside up to half of the descriptors, and for connections beyond", () => {
    const next = native.createEvent(0)
    native.close(next)
    const few = new DescriptorShares(native, Math.floor(1.7 * next))
    const sockets = new LinuxSockets(native, arena, events.loop, { shares: few })
    const other = new LinuxLocalPath(native, arena, events.loop, few, namespace.network)
    expect(other.sockets.udpOpen(CONNECTING, towards(true, PORT))).toBe(-Errno.EMFILE)
    const asking = sockets.udpOpen(CONNECTING, towards(true, PORT))
    expect(asking).toBeGreaterThanOrEqual(next)
    const connecting = other.sockets.tcpConnect(CONNECTING, towards(true, PORT))
    expect(connecting).toBeGreaterThanOrEqual(next)
    sockets.close(asking)
    other.sockets.close(connecting)
    other.close()
  })

  it("says what is not reachable inside, whatever is outside", () => {
    const refused = inside.tcpConnect(CONNECTING, towards(true, PORT))
    events.until(CONNECTING, SocketEvent.error)
    expect(inside.socketError(refused)).toBe(-Errno.ECONNREFUSED)
    inside.close(refused)
  })
})
