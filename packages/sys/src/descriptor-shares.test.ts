import {
  Address,
  Demiflow,
  Errno,
  Interface,
  type ListenerRef,
  type ListeningEnd,
  type SideRef,
  type Socket,
} from "@demiflow/core"
import { afterAll, afterEach, describe, expect, it } from "vitest"
import { SocketType } from "./constants.ts"
import { DescriptorShare, DescriptorShares, descriptorLimit } from "./descriptor-shares.ts"
import { LinuxHost } from "./linux-host.ts"
import { arena, Events, native, unusedPort } from "./test-support.ts"

const { autoPorts, fromOutside, exchanges } = DescriptorShare
const events = new Events()
const LISTENER = 3 as ListenerRef
const SIDE = 8 as SideRef
const listeningEnd = (port: number): ListeningEnd => ({
  address: undefined,
  port,
  interfaceName: undefined,
  freebind: false,
})

/** So that all numbers below those of the tests are taken. */
const fillers = Array.from({ length: 64 }, () => native.createEvent(0))
const next = Math.max(...fillers) + 1
afterAll(() => {
  for (const filler of fillers) native.close(filler)
})

describe("shares of the descriptors", () => {
  it("end at a quarter, half and three quarters", () => {
    const shares = new DescriptorShares(native, 400)
    expect([99, 100].map((descriptor) => shares.allows(autoPorts, descriptor))).toEqual([true, false])
    expect([199, 200].map((descriptor) => shares.allows(fromOutside, descriptor))).toEqual([true, false])
    expect([299, 300].map((descriptor) => shares.allows(exchanges, descriptor))).toEqual([true, false])
  })

  it("are shares of what the ports that last leave", () => {
    const shares = new DescriptorShares(native, 400)
    shares.last(199)
    expect([249, 250].map((descriptor) => shares.allows(autoPorts, descriptor))).toEqual([true, false])
    shares.last(1_000)
    expect(shares.allows(exchanges, 399)).toBe(true)
  })

  it("have no end where there is no limit", () => {
    const shares = new DescriptorShares(native, Number.POSITIVE_INFINITY)
    shares.last(10)
    expect(shares.allows(autoPorts, 1_000_000)).toBe(true)
  })

  it("know the next descriptor without taking it", () => {
    expect(new DescriptorShares(native, 2 * next).allowsNext(fromOutside)).toBe(false)
    expect(new DescriptorShares(native, 2 * next + 2).allowsNext(fromOutside)).toBe(true)
    const again = native.createEvent(0)
    native.close(again)
    expect(again).toBe(next)
  })
})

it("the limit of this process is a number", () => {
  expect(descriptorLimit()).toBeGreaterThan(64)
})

describe("a host with few descriptors", () => {
  const opened: Socket[] = []
  /** Descriptors up to and without `next + more` are a share of this many quarters. */
  const hostWith = (quarters: number, more: number) =>
    new LinuxHost(native, arena, events.loop, { descriptorLimit: ((next + more) * 4) / quarters })
  let host: LinuxHost
  const keep = (socket: Socket): Socket => {
    if (socket >= 0) opened.push(socket)
    return socket
  }
  const any = (correspondent: string) =>
    Demiflow.of(Interface.host, Address.parse("0.0.0.0"), 0, Address.parse(correspondent), 9)

  afterEach(() => {
    for (const socket of opened.splice(0)) host.close(socket)
  })

  it("opens sockets for the guest's exchanges up to their share", () => {
    host = hostWith(exchanges, 2)
    expect(keep(host.udpBind(SIDE, any("127.0.0.1")))).toBe(next)
    expect(keep(host.udpOpen(SIDE, any("127.0.0.1")))).toBe(next + 1)
    expect(host.udpBind(SIDE, any("127.0.0.1"))).toBe(-Errno.EMFILE)
    expect(host.udpOpen(SIDE, any("127.0.0.1"))).toBe(-Errno.EMFILE)
    expect(keep(host.tcpConnect(SIDE, any("127.0.0.1")))).toBe(next + 2)
  })

  it("opens ports that follow others up to their share, and the rest in any case", () => {
    host = hostWith(autoPorts, 1)
    const auto = () => ({ ...listeningEnd(unusedPort(true, SocketType.stream)), isAuto: true })
    expect(keep(host.tcpListen(LISTENER, auto()))).toBe(next)
    expect(host.tcpListen(LISTENER, auto())).toBe(-Errno.EMFILE)
    expect(host.udpListen(LISTENER, auto())).toBe(-Errno.EMFILE)
    expect(keep(host.tcpListen(LISTENER, listeningEnd(unusedPort(true, SocketType.stream))))).toBe(next + 1)
  })

  it("leaves connections from outside in the queue beyond their share", () => {
    host = new LinuxHost(native, arena, events.loop, { descriptorLimit: next + 4 })
    const port = unusedPort(true, SocketType.stream)
    const end = { ...listeningEnd(port), address: Address.parse("127.0.0.1") }
    const listening = keep(host.tcpListen(LISTENER, end))
    const target = Demiflow.of(Interface.host, Address.parse("0.0.0.0"), 0, Address.parse("127.0.0.1"), port)
    const clients = [0, 1].map(() => keep(host.tcpConnect(SIDE, target)))
    expect(clients.every((client) => client >= 0)).toBe(true)
    expect(host.tcpAccept(listening, new Demiflow())).toBe(-Errno.EMFILE)
    expect(host.connectionsWaiting(listening)).toBe(2)
  })
})
