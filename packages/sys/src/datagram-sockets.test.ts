import {
  Address,
  DatagramBatch,
  Demiflow,
  Errno,
  ErrorOrigin,
  emptySocketError,
  type SideRef,
  type Socket,
  SocketEvent,
} from "@demiflow/core"
import { describe, expect, it } from "vitest"
import {
  AddressFamily,
  IpOption,
  Ipv6Option,
  MtuDiscovery,
  SocketLevel,
  SocketOption,
  SocketType,
  UdpOption,
} from "./constants.ts"
import { LinuxSockets } from "./linux-sockets.ts"
import type { Native } from "./native.ts"
import { arena, bound, Events, loopback, native, towards, unusedPort } from "./test-support.ts"

const events = new Events()
const sockets = new LinuxSockets(native, arena, events.loop)
const side = 9 as SideRef
const region = arena.reserve(1 << 20, 4096)
const batch = new DatagramBatch(256)
/** Where datagrams are received. */
const ROOM = 65_536
const incoming = arena.reserve(16 * ROOM, 4096)

const error = emptySocketError()

/** Two sockets of the host, connected to each other. */
function pair(isV4: boolean): [Socket, Socket] {
  const port = unusedPort()
  const first = sockets.udpOpen(1 as SideRef, towards(isV4, port))
  const end = new Demiflow()
  sockets.boundEnd(first, end)
  const back = towards(isV4, end.forwardingPort)
  back.forwardingPort = port
  const second = sockets.udpOpen(side, back)
  expect(Math.min(first, second)).toBeGreaterThanOrEqual(0)
  return [first, second]
}

function put(index: number, length: number, segmentSize = 0): void {
  const offset = region + index * 70_000
  arena.bytes.fill(index + 1, offset, offset + length)
  batch.offset[index] = offset
  batch.length[index] = length
  batch.segmentSize[index] = segmentSize
}

/** Receives up to 16 datagrams into entries with room for the largest. */
function receive(socket: Socket): number {
  for (let index = 0; index < 16; index++) {
    batch.offset[index] = incoming + index * ROOM
    batch.length[index] = ROOM
  }
  return sockets.receiveDatagrams(socket, batch, 16)
}

/** Makes a pair exchange more than one datagram at once, which upgrades both sockets. */
function exchangeBatch(from: Socket, to: Socket): void {
  put(0, 1)
  put(1, 1)
  expect(sockets.sendDatagrams(from, batch, 0, 2)).toBe(2)
  expect(receive(to)).toBe(2)
}

function closeAll(...opened: Socket[]): void {
  for (const socket of opened) sockets.close(socket)
}

for (const isV4 of [true, false]) {
  describe(`UDP over ${isV4 ? "IPv4" : "IPv6"}`, () => {
    it("carries batches of datagrams from empty to the largest", () => {
      const [from, to] = pair(isV4)
      const largest = isV4 ? 65_507 : 65_487
      for (const [index, length] of [0, 1, 1400, largest].entries()) put(index, length)
      expect(sockets.sendDatagrams(from, batch, 0, 4)).toBe(4)
      events.until(side, SocketEvent.readable)
      expect(receive(to)).toBe(4)
      expect(batch.count).toBe(4)
      expect([...batch.length.subarray(0, 4)]).toEqual([0, 1, 1400, largest])
      expect([...batch.segmentSize.subarray(0, 4)]).toEqual([0, 0, 0, 0])
      expect(arena.bytes[batch.offset[2] + 1399]).toBe(3)
      expect(receive(to)).toBe(-Errno.EAGAIN)
      expect(batch.count).toBe(0)
      closeAll(from, to)
    })

    it("carries more of them than one system call does", () => {
      const [from, to] = pair(isV4)
      for (let index = 0; index < 150; index++) {
        batch.offset[index] = region
        batch.length[index] = index
        batch.segmentSize[index] = 0
      }
      expect(sockets.sendDatagrams(from, batch, 10, 140)).toBe(140)
      const lengths: number[] = []
      while (receive(to) > 0) lengths.push(...batch.length.subarray(0, batch.count))
      expect(lengths).toEqual(Array.from({ length: 140 }, (_, index) => index + 10))
      closeAll(from, to)
    })

    it("has the kernel cut what is left together, and receives what the kernel left together", () => {
      const [from, to] = pair(isV4)
      put(0, 5000, 1200)
      put(1, 100)
      expect(sockets.sendDatagrams(from, batch, 0, 2)).toBe(2)
      const received: number[] = []
      while (receive(to) > 0) {
        for (let index = 0; index < batch.count; index++) {
          let left = batch.length[index]
          const segmentSize = batch.segmentSize[index] || left
          for (; left > 0; left -= segmentSize) received.push(Math.min(left, segmentSize))
        }
      }
      expect(received).toEqual([1200, 1200, 1200, 1200, 200, 100])
      closeAll(from, to)
    })

    it("reports the segment size of what the kernel coalesced", () => {
      const [from, to] = pair(isV4)
      exchangeBatch(from, to)
      // Loopback doesn't split what its receiver accepts unsplit.
      put(0, 3000, 1000)
      expect(sockets.sendDatagrams(from, batch, 0, 1)).toBe(1)
      expect(receive(to)).toBe(1)
      expect([batch.length[0], batch.segmentSize[0]]).toEqual([3000, 1000])
      put(0, 3000)
      expect(sockets.sendDatagrams(from, batch, 0, 1)).toBe(1)
      expect(receive(to)).toBe(1)
      expect([batch.length[0], batch.segmentSize[0]]).toEqual([3000, 0])
      closeAll(from, to)
    })

    it("has the hop limit that was set last", () => {
      const socket = sockets.udpOpen(side, towards(isV4, unusedPort()))
      const current = () =>
        isV4
          ? native.getOptionInteger(socket, SocketLevel.ip, IpOption.timeToLive)
          : native.getOptionInteger(socket, SocketLevel.ipv6, Ipv6Option.unicastHops)
      const usual = current()
      for (const hopLimit of [usual, 3, usual, usual, 255]) {
        expect(sockets.setHopLimit(socket, isV4, hopLimit)).toBe(0)
        expect(current()).toBe(hopLimit)
      }
      expect(sockets.setHopLimit(socket, isV4, 0)).toBe(0)
      expect(current()).toBe(usual)
      closeAll(socket)
    })

    it("sends with the traffic class that was set last, ECN included, and reports that of what it receives", () => {
      const [from, to] = pair(isV4)
      const seen: number[][] = []
      for (const [index, trafficClass] of [0, 0xb8, 0xb9, 0x03, 0].entries()) {
        if (index > 0) expect(sockets.setTrafficClass(from, isV4, trafficClass)).toBe(0)
        put(0, 3000, 1000)
        put(1, 10)
        expect(sockets.sendDatagrams(from, batch, 0, 2)).toBe(2)
        while (receive(to) > 0) {
          for (let entry = 0; entry < batch.count; entry++) seen.push([batch.length[entry], batch.trafficClass[entry]])
        }
      }
      const classes = new Set(seen.map(([, trafficClass]) => trafficClass))
      expect([...classes]).toEqual([0, 0xb8, 0xb9, 0x03])
      expect(seen.reduce((sum, [length]) => sum + length, 0)).toBe(5 * 3010)
      closeAll(from, to)
    })

    it("leaves fragmentation to the kernel until that is set", () => {
      const [socket, other] = pair(isV4)
      const current = () =>
        isV4
          ? native.getOptionInteger(socket, SocketLevel.ip, IpOption.mtuDiscover)
          : native.getOptionInteger(socket, SocketLevel.ipv6, Ipv6Option.mtuDiscover)
      expect(current()).toBe(MtuDiscovery.want)
      expect(sockets.setFragmentation(socket, isV4, false)).toBe(0)
      expect(current()).toBe(MtuDiscovery.probe)
      expect(sockets.setFragmentation(socket, isV4, true)).toBe(0)
      expect(current()).toBe(isV4 ? MtuDiscovery.never : MtuDiscovery.want)
      closeAll(socket, other)
    })

    it("is made for much as soon as more than one comes or goes at once, and not before", () => {
      const [from, to] = pair(isV4)
      const isLarge = (socket: Socket) => {
        const option = (level: number, name: number) => native.getOptionInteger(socket, level, name)
        const usual = native.socket(isV4 ? AddressFamily.ipv4 : AddressFamily.ipv6, SocketType.datagram, 0)
        const isLarger = (name: number) =>
          option(SocketLevel.socket, name) > native.getOptionInteger(usual, SocketLevel.socket, name)
        const answer = [
          option(SocketLevel.udp, UdpOption.receiveOffload) === 1,
          isLarger(SocketOption.receiveBuffer),
          isLarger(SocketOption.sendBuffer),
        ]
        native.close(usual)
        return answer
      }
      put(0, 100)
      for (let count = 0; count < 3; count++) {
        expect(sockets.sendDatagrams(from, batch, 0, 1)).toBe(1)
        expect(receive(to)).toBe(1)
      }
      expect([...isLarge(from), ...isLarge(to)]).toEqual(new Array(6).fill(false))
      put(1, 100)
      expect(sockets.sendDatagrams(from, batch, 0, 2)).toBe(2)
      expect([...isLarge(from), ...isLarge(to)]).toEqual([true, true, true, false, false, false])
      expect(receive(to)).toBe(2)
      expect(isLarge(to)).toEqual([true, true, true])
      closeAll(from, to)
      // A new socket with the same descriptor starts small.
      const [again, other] = pair(isV4)
      expect([again, other].sort()).toEqual([from, to].sort())
      expect([...isLarge(again), ...isLarge(other)]).toEqual(new Array(6).fill(false))
      put(0, 3000, 1000)
      expect(sockets.sendDatagrams(again, batch, 0, 1)).toBe(1)
      expect(isLarge(again)).toEqual([true, true, true])
      closeAll(again, other)
    })

    it("sends apart what the kernel refuses to cut", () => {
      const [from, to] = pair(isV4)
      native.setOptionInteger(to, SocketLevel.udp, UdpOption.receiveOffload, 0)
      put(0, 605, 3)
      put(1, 7)
      expect(sockets.sendDatagrams(from, batch, 0, 2)).toBe(2)
      const lengths: number[] = []
      while (receive(to) > 0) lengths.push(...batch.length.subarray(0, batch.count))
      expect(lengths).toEqual([...new Array(201).fill(3), 2, 7])
      closeAll(from, to)
    })

    it("reports what is left of what it splits, when the kernel refuses more", () => {
      // The kernel takes 64 datagrams of a call, then 3 and no more, until the next call.
      const answers = [-Errno.EINVAL, 64, 3, -Errno.EAGAIN, -Errno.EINVAL, 64, 64, 7]
      const scripted = { ...native, sendMessages: () => answers.shift() ?? -Errno.EIO } as Native
      const scriptedHost = new LinuxSockets(scripted, arena, events.loop)
      const socket = scriptedHost.udpOpen(side, towards(isV4, unusedPort()))
      put(0, 605, 3)
      const start = batch.offset[0]
      expect(scriptedHost.sendDatagrams(socket, batch, 0, 1)).toBe(-Errno.EAGAIN)
      expect([batch.offset[0] - start, batch.length[0], batch.segmentSize[0]]).toEqual([67 * 3, 605 - 67 * 3, 3])
      expect(scriptedHost.sendDatagrams(socket, batch, 0, 1)).toBe(1)
      expect(answers).toEqual([])
      // The rest may be a single datagram.
      put(0, 250, 100)
      answers.push(-Errno.EINVAL, 2, -Errno.EAGAIN)
      expect(scriptedHost.sendDatagrams(socket, batch, 0, 1)).toBe(-Errno.EAGAIN)
      expect([batch.offset[0] - start, batch.length[0], batch.segmentSize[0]]).toEqual([200, 50, 0])
      scriptedHost.close(socket)
    })

    it("is made for much when it has no room for one, and then tries again", () => {
      const answers = [1, -Errno.EAGAIN, 1, -Errno.EAGAIN]
      const options: number[] = []
      const scripted = {
        ...native,
        sendMessages: () => answers.shift() ?? -Errno.EIO,
        setOptionInteger(descriptor: number, level: number, name: number, value: number) {
          if (level === SocketLevel.socket) options.push(name)
          return native.setOptionInteger(descriptor, level, name, value)
        },
      } as Native
      const scriptedHost = new LinuxSockets(scripted, arena, events.loop)
      const socket = scriptedHost.udpOpen(side, towards(isV4, unusedPort()))
      options.length = 0
      put(0, 100)
      expect(scriptedHost.sendDatagrams(socket, batch, 0, 1)).toBe(1)
      expect(options).toEqual([])
      expect(scriptedHost.sendDatagrams(socket, batch, 0, 1)).toBe(1)
      expect(options).toEqual([SocketOption.receiveBuffer, SocketOption.sendBuffer])
      expect(scriptedHost.sendDatagrams(socket, batch, 0, 1)).toBe(-Errno.EAGAIN)
      expect(answers).toEqual([])
      scriptedHost.close(socket)
    })

    it("reports the whole length of a datagram that it had to cut off", () => {
      const [from, to] = pair(isV4)
      put(0, 100)
      expect(sockets.sendDatagrams(from, batch, 0, 1)).toBe(1)
      batch.offset[0] = incoming
      batch.length[0] = 10
      arena.bytes[incoming + 10] = 77
      expect(sockets.receiveDatagrams(to, batch, 1)).toBe(1)
      expect(batch.length[0]).toBe(100)
      expect([arena.bytes[incoming + 9], arena.bytes[incoming + 10]]).toEqual([1, 77])
      closeAll(from, to)
    })

    it("hears only the correspondent", () => {
      const [from, to] = pair(isV4)
      const end = new Demiflow()
      sockets.boundEnd(to, end)
      const stranger = sockets.udpOpen(3 as SideRef, towards(isV4, end.forwardingPort))
      put(0, 10)
      sockets.sendDatagrams(stranger, batch, 0, 1)
      expect(receive(to)).toBe(-Errno.EAGAIN)
      closeAll(from, to, stranger)
    })

    it("reports a closed port with the datagram that it was about, and goes on", () => {
      const port = unusedPort()
      const socket = sockets.udpOpen(side, towards(isV4, port))
      put(0, 33)
      expect(sockets.sendDatagrams(socket, batch, 0, 1)).toBe(1)
      events.until(side, SocketEvent.error)
      // A pending error is reported once, and the datagram can be sent again.
      put(1, 44)
      expect(sockets.sendDatagrams(socket, batch, 1, 1)).toBe(-Errno.ECONNREFUSED)
      expect(sockets.sendDatagrams(socket, batch, 1, 1)).toBe(1)
      expect(sockets.receiveError(socket, error)).toBe(1)
      expect(error).toMatchObject({
        errno: Errno.ECONNREFUSED,
        origin: isV4 ? ErrorOrigin.icmp : ErrorOrigin.icmpv6,
        icmpType: isV4 ? 3 : 1,
        icmpCode: isV4 ? 3 : 4,
        destinationPort: port,
        payloadLength: 33,
      })
      expect(error.destination.equals(loopback(isV4))).toBe(true)
      expect(error.reporter.equals(loopback(isV4))).toBe(true)
      expect(arena.bytes[error.payloadOffset + 32]).toBe(1)
      expect(sockets.receiveError(socket, error)).toBe(1)
      expect(error.payloadLength).toBe(44)
      expect(sockets.receiveError(socket, error)).toBe(0)
      expect(receive(socket)).toBe(-Errno.EAGAIN)
      closeAll(socket)
    })

    it("refuses a datagram that is too long, and takes those before it", () => {
      const [from, to] = pair(isV4)
      put(0, 10)
      put(1, 65_530)
      put(2, 20)
      expect(sockets.sendDatagrams(from, batch, 0, 3)).toBe(1)
      expect(sockets.sendDatagrams(from, batch, 1, 2)).toBe(-Errno.EMSGSIZE)
      expect(sockets.sendDatagrams(from, batch, 2, 1)).toBe(1)
      closeAll(from, to)
    })
  })
}

describe("datagram sockets", () => {
  it("answers what the host says at once", () => {
    const demiflow = towards(true, 53)
    demiflow.forwardingAddress.word3 = 0xcb00_7107 | 0
    expect(sockets.udpOpen(side, demiflow)).toBe(-Errno.EADDRNOTAVAIL)
  })

  it("refuses broadcast addresses, as a socket has one correspondent", () => {
    const demiflow = new Demiflow()
    demiflow.correspondentAddress.copyFrom(Address.parse("127.255.255.255"))
    demiflow.correspondentPort = 9
    expect(sockets.udpOpen(side, demiflow)).toBe(-Errno.EACCES)
  })

  it("hears nobody who wrote before it was connected", () => {
    const from = bound(true, SocketType.datagram)
    const port = unusedPort()
    const demiflow = towards(true, from.port)
    demiflow.forwardingPort = port
    const stranger = sockets.udpOpen(side, towards(true, port))
    const opened = sockets.udpOpen(side, demiflow)
    put(0, 5)
    sockets.sendDatagrams(stranger, batch, 0, 1)
    expect(receive(opened)).toBe(-Errno.EAGAIN)
    closeAll(stranger, opened)
    native.close(from.descriptor)
  })

  it("leaves no error of one socket to another", () => {
    const { descriptor, port } = bound(true, SocketType.datagram)
    const socket = sockets.udpOpen(side, towards(true, port))
    expect(sockets.receiveError(socket, error)).toBe(0)
    expect(sockets.socketError(socket)).toBe(0)
    closeAll(socket)
    native.close(descriptor)
  })
})
