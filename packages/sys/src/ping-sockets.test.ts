import {
  Address,
  DatagramBatch,
  Demiflow,
  Errno,
  Interface,
  type SideRef,
  type Socket,
  SocketEvent,
} from "@demiflow/core"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { AddressFamily, Ipv6Option, SocketLevel, SocketOption, SocketProtocol, SocketType } from "./constants.ts"
import { checkResult } from "./errno.ts"
import { LinuxSockets } from "./linux-sockets.ts"
import { SOCKET_ADDRESS_BYTES, writeSocketAddress } from "./socket-address.ts"
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

const side = 9 as SideRef
const identifier = 0x4d2a
const region = arena.reserve(65_536, 64)
const name = arena.reserve(SOCKET_ADDRESS_BYTES, 8)
const batch = new DatagramBatch(8)
const ends = Array.from({ length: 8 }, () => new Demiflow(Interface.host))
const SECOND = { v4: Address.parse("127.0.0.2"), v6: Address.parse("2001:db8::2") }

describe.skipIf(missing !== "")(`ping sockets${missing}`, () => {
  const events = new Events()
  let namespace: PingNamespace
  let sockets: LinuxSockets
  let open: number[] = []

  beforeAll(async () => {
    namespace = await openPingNamespace(`ip -6 address add ${SECOND.v6}/128 dev lo`)
    sockets = new LinuxSockets(native, arena, events.loop, { sockets: namespace.sockets })
  })

  afterEach(() => {
    for (const socket of open) sockets.close(socket as Socket)
    open = []
  })

  afterAll(() => namespace.close())

  function bind(isV4: boolean, wanted = identifier): Socket {
    const demiflow = towards(isV4, 0)
    demiflow.forwardingAddress.copyFrom(Address.parse(isV4 ? "0.0.0.0" : "::"))
    demiflow.forwardingPort = wanted
    const socket = sockets.pingBind(side, demiflow)
    if (socket >= 0) open.push(socket)
    return socket
  }

  /** Another program's ping socket, as the kernel creates it, with an identifier. */
  function bindElsewhere(isV4: boolean): number {
    const family = isV4 ? AddressFamily.ipv4 : AddressFamily.ipv6
    const protocol = isV4 ? SocketProtocol.icmp : SocketProtocol.icmpv6
    const socket = native.socketInNamespace(namespace.descriptor, family, SocketType.datagram, protocol)
    open.push(checkResult(socket, "make a socket"))
    return native.bind(socket, name, writeSocketAddress(arena.view, name, loopback(isV4), identifier))
  }

  function request(socket: Socket, to: Readonly<Address>, payload: number[]): number {
    const { isV4 } = to
    arena.bytes.set([isV4 ? 8 : 128, 0, 0, 0, 0, 0, 0x12, 0x34, ...payload], region)
    batch.offset[0] = region
    batch.length[0] = 8 + payload.length
    batch.segmentSize[0] = 0
    const demiflow = towards(isV4, 0)
    demiflow.correspondentAddress.copyFrom(to)
    demiflow.forwardingAddress.copyFrom(Address.parse(isV4 ? "0.0.0.0" : "::"))
    return sockets.sendDatagramsTo(socket, demiflow, 0, batch, 0, 1)
  }

  function receive(socket: Socket): number {
    batch.offset[0] = region
    batch.length[0] = 65_536
    return sockets.receiveFromAnyone(socket, batch, ends, 1)
  }

  for (const isV4 of [true, false]) {
    const family = isV4 ? "IPv4" : "IPv6"

    it(`keep identifier, sequence number and payload over ${family}, to every correspondent`, () => {
      const socket = bind(isV4)
      expect(socket).toBeGreaterThanOrEqual(0)
      for (const to of [loopback(isV4), isV4 ? SECOND.v4 : SECOND.v6]) {
        expect(request(socket, to, [1, 2, 3])).toBe(1)
        events.until(side, SocketEvent.readable)
        expect(receive(socket)).toBe(1)
        const reply = arena.bytes.subarray(batch.offset[0], batch.offset[0] + batch.length[0])
        expect(reply[0]).toBe(isV4 ? 0 : 129)
        expect([...reply.subarray(4)]).toEqual([identifier >> 8, identifier & 255, 0x12, 0x34, 1, 2, 3])
        expect(ends[0].correspondentAddress.toString()).toBe(to.toString())
      }
      expect(receive(socket)).toBe(-Errno.EAGAIN)
    })

    it(`have an identifier alone over ${family}, whichever version of IP another program would have it for`, () => {
      expect(bind(isV4)).toBeGreaterThanOrEqual(0)
      expect(bind(isV4)).toBe(-Errno.EADDRINUSE)
      for (const ofV4 of [true, false]) expect(bindElsewhere(ofV4)).toBe(-Errno.EADDRINUSE)
      const chosen = new Demiflow()
      expect(sockets.boundEnd(bind(isV4, 0), chosen)).toBe(0)
      expect(chosen.forwardingPort).toBeGreaterThan(0)
    })

    it(`leave an identifier over ${family} to the program that has it`, () => {
      expect(bindElsewhere(!isV4)).toBe(0)
      expect(bind(isV4)).toBe(-Errno.EADDRINUSE)
    })

    it(`share one with that of the other version of IP, ${family} first, and with nobody else`, () => {
      const bound = [bind(isV4), bind(!isV4)]
      expect(Math.min(...bound)).toBeGreaterThanOrEqual(0)
      for (const ofV4 of [true, false]) expect(bindElsewhere(ofV4)).toBe(-Errno.EADDRINUSE)
      for (const [index, ofV4] of [isV4, !isV4].entries()) {
        expect(native.getOptionInteger(bound[index], SocketLevel.socket, SocketOption.reuseAddress)).toBe(0)
        expect(request(bound[index], loopback(ofV4), [index])).toBe(1)
      }
      events.until(side, SocketEvent.readable)
      for (const [index, socket] of bound.entries()) {
        expect(receive(socket)).toBe(1)
        expect(arena.bytes[region + 8]).toBe(index)
        expect(receive(socket)).toBe(-Errno.EAGAIN)
      }
      // One of the two is closed, which drops its record.
      sockets.close(bound[0])
      open = open.filter((socket) => socket !== bound[0])
      expect(bind(isV4)).toBeGreaterThanOrEqual(0)
    })
  }

  it("send over IPv6 with the hop limit and class of each call, where the kernel passes over control messages, too", () => {
    const socket = bind(false)
    const option = (option: number) => native.getOptionInteger(socket, SocketLevel.ipv6, option)
    const usual = option(Ipv6Option.unicastHops)
    for (const [hopLimit, trafficClass] of [
      [9, 0xb8],
      [9, 0],
      [0, 0x48],
    ]) {
      batch.marks = hopLimit | (trafficClass << 8)
      expect(request(socket, loopback(false), [])).toBe(1)
      const options = [option(Ipv6Option.unicastHops), option(Ipv6Option.trafficClass)]
      expect(options).toEqual([hopLimit || usual, trafficClass])
    }
    batch.marks = 0
  })

  it("say when there is no way to a correspondent", () => {
    expect(request(bind(true), Address.parse("192.0.2.1"), [])).toBe(-Errno.ENETUNREACH)
  })
})
