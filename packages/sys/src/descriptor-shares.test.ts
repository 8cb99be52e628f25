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
import { DescriptorShare, DescriptorShares, descriptorLimit } from "./descriptor-shares.ts"
import { LinuxSockets } from "./linux-sockets.ts"
import type { Native } from "./native.ts"
import { LinuxPipes } from "./pipes.ts"
import { arena, Events, native, unusedPort } from "./test-support.ts"

const { autoPortsInside, autoPorts, fromOutside, exchanges } = DescriptorShare
const events = new Events()
const LISTENER = 3 as ListenerRef
const SIDE = 8 as SideRef
const listeningEnd = (port: number): ListeningEnd => ({
  address: undefined,
  port,
  interfaceName: undefined,
  freebind: false,
})

/** Fills all numbers below those of the tests. */
const fillers = Array.from({ length: 64 }, () => native.createEvent(0))
const next = Math.max(...fillers) + 1
afterAll(() => {
  for (const filler of fillers) native.close(filler)
})

describe("shares of the descriptors", () => {
  let taken: number[] = []
  afterEach(() => {
    for (const descriptor of taken) native.close(descriptor)
    taken = []
  })

  it("end at an eighth, a quarter, half and three quarters", () => {
    const shares = new DescriptorShares(native, 400)
    expect([49, 50].map((descriptor) => shares.allows(autoPortsInside, descriptor))).toEqual([true, false])
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

  it("know it also after a low one was used again", () => {
    const shares = new DescriptorShares(native, 2 * (next + 40))
    taken = Array.from({ length: 40 }, () => native.createEvent(0))
    for (const descriptor of taken) shares.made(descriptor)
    expect(shares.allowsNext(fromOutside)).toBe(false)
    native.close(next)
    expect(shares.allowsNext(fromOutside)).toBe(true)
    expect(native.createEvent(0)).toBe(next)
    shares.made(next)
    expect(shares.allowsNext(fromOutside)).toBe(false)
  })

  it("open no descriptor to know it while the highest one is far from their end", () => {
    let opened = 0
    const createEvent: Native["createEvent"] = (...parameters) => {
      opened++
      return native.createEvent(...parameters)
    }
    const shares = new DescriptorShares({ ...native, createEvent }, 1_000)
    opened = 0
    shares.made(next)
    expect(shares.allowsNext(fromOutside)).toBe(true)
    expect(opened).toBe(0)
    shares.made(490)
    expect(shares.allowsNext(fromOutside)).toBe(true)
    expect(opened).toBe(1)
  })
})

it("the limit of this process is a number", () => {
  expect(descriptorLimit()).toBeGreaterThan(64)
})

describe("a host with few descriptors", () => {
  const opened: Socket[] = []
  /** Shares with the given number of quarters below `next + more`. */
  const sharesWith = (quarters: number, more: number) => new DescriptorShares(native, ((next + more) * 4) / quarters)
  /** With a permanent port as the first descriptor, outsiders may use the numbers below `next + more`. */
  const sharesBesidePort = (more: number) => new DescriptorShares(native, next + 2 * more - 1)
  const hostOf = (shares: DescriptorShares) => new LinuxSockets(native, arena, events.loop, { shares })
  const hostWith = (quarters: number, more: number) => hostOf(sharesWith(quarters, more))
  let sockets: LinuxSockets
  const keep = (socket: Socket): Socket => {
    if (socket >= 0) opened.push(socket)
    return socket
  }
  const any = (correspondent: string) =>
    Demiflow.of(Interface.host, Address.parse("0.0.0.0"), 0, Address.parse(correspondent), 9)

  afterEach(() => {
    for (const socket of opened.splice(0)) sockets.close(socket)
  })

  it("opens sockets for the guest's exchanges up to their share", () => {
    sockets = hostWith(exchanges, 2)
    expect(keep(sockets.udpBind(SIDE, any("127.0.0.1")))).toBe(next)
    expect(keep(sockets.udpOpen(SIDE, any("127.0.0.1")))).toBe(next + 1)
    expect(sockets.udpBind(SIDE, any("127.0.0.1"))).toBe(-Errno.EMFILE)
    expect(sockets.udpOpen(SIDE, any("127.0.0.1"))).toBe(-Errno.EMFILE)
    expect(keep(sockets.tcpConnect(SIDE, any("127.0.0.1")))).toBe(next + 2)
  })

  it("does nothing with a socket of an exchange that is beyond the share, but closes it", () => {
    const calls: string[] = []
    const counted = <Name extends "socket" | "close" | "setOptionInteger" | "bind">(name: Name) => ({
      [name]: (...parameters: unknown[]) => {
        calls.push(name)
        return (native[name] as (...all: unknown[]) => number)(...parameters)
      },
    })
    const watched = {
      ...native,
      ...counted("socket"),
      ...counted("close"),
      ...counted("setOptionInteger"),
      ...counted("bind"),
    }
    sockets = new LinuxSockets(watched, arena, events.loop, { shares: sharesWith(exchanges, 0) })
    calls.length = 0
    for (const target of ["127.0.0.1", "192.0.2.1"]) expect(sockets.udpBind(SIDE, any(target))).toBe(-Errno.EMFILE)
    expect(sockets.udpOpen(SIDE, any("127.0.0.1"))).toBe(-Errno.EMFILE)
    expect(calls).toEqual(["socket", "close", "socket", "close", "socket", "close"])
  })

  it("opens ports that follow others up to their share, and the rest in any case", () => {
    sockets = hostWith(autoPorts, 1)
    const auto = () => ({ ...listeningEnd(unusedPort()), isAuto: true })
    expect(keep(sockets.tcpListen(LISTENER, auto()))).toBe(next)
    expect(sockets.tcpListen(LISTENER, auto())).toBe(-Errno.EMFILE)
    expect(sockets.udpListen(LISTENER, auto())).toBe(-Errno.EMFILE)
    expect(keep(sockets.tcpListen(LISTENER, listeningEnd(unusedPort())))).toBe(next + 1)
  })

  it("leaves connections from outside in the queue beyond their share", () => {
    sockets = hostOf(sharesBesidePort(3))
    const { listening, connectFrom } = openPort()
    expect(connectFrom(2)).toEqual([next + 1, next + 2])
    expect(sockets.tcpAccept(listening, new Demiflow())).toBe(-Errno.EMFILE)
    expect(sockets.connectionsWaiting(listening)).toBe(2)
  })

  it("accepts no more of them than there are low descriptors that became free", () => {
    sockets = hostOf(sharesBesidePort(40))
    const { listening, connectFrom } = openPort()
    connectFrom(1)
    expect(keep(sockets.tcpAccept(listening, new Demiflow()))).toBe(next + 2)
    const clients = connectFrom(37)
    expect(clients.at(-1)).toBe(next + 39)
    expect(sockets.tcpAccept(listening, new Demiflow())).toBe(-Errno.EMFILE)
    sockets.close(opened.splice(opened.indexOf(clients[0]), 1)[0])
    expect(keep(sockets.tcpAccept(listening, new Demiflow()))).toBe(clients[0])
    expect(keep(sockets.tcpAccept(listening, new Demiflow()))).toBe(-Errno.EMFILE)
    expect(sockets.connectionsWaiting(listening)).toBe(36)
  })

  it("counts the pipes between connections", () => {
    const shares = sharesBesidePort(40)
    const pipes = new LinuxPipes(native, arena, shares)
    sockets = hostOf(shares)
    const { listening, connectFrom } = openPort()
    const [client] = connectFrom(1)
    const between = Array.from({ length: 19 }, () => pipes.open())
    sockets.close(opened.splice(opened.indexOf(client), 1)[0])
    connectFrom(1)
    expect(sockets.tcpAccept(listening, new Demiflow())).toBe(-Errno.EMFILE)
    for (const pipe of between) pipes.close(pipe)
    expect(keep(sockets.tcpAccept(listening, new Demiflow()))).toBe(next + 2)
  })

  it("opens no pipes beyond the share of the outside, whose connections keep them while they stall", () => {
    const pipes = new LinuxPipes(native, arena, sharesWith(fromOutside, 4))
    const open = [pipes.open(), pipes.open()]
    expect(open).toEqual([next, next + 2])
    expect(pipes.open()).toBe(-Errno.EMFILE)
    for (const pipe of open) pipes.close(pipe)
    const again = pipes.open()
    expect(again).toBe(next)
    pipes.close(again)
  })

  it("has its share of what the ports of other hosts of the process leave, too", () => {
    const shares = sharesWith(autoPorts, 0)
    sockets = hostOf(shares)
    const auto = () => ({ ...listeningEnd(unusedPort()), isAuto: true })
    expect(sockets.tcpListen(LISTENER, auto())).toBe(-Errno.EMFILE)
    keep(hostOf(shares).tcpListen(LISTENER, listeningEnd(unusedPort())))
    expect(keep(sockets.tcpListen(LISTENER, auto()))).toBe(next + 1)
    expect(sockets.mostSockets).toBe(shares.limit)
  })

  /** A port on loopback, and connections that wait there. */
  function openPort(): { listening: Socket; connectFrom: (count: number) => Socket[] } {
    const port = unusedPort()
    const listening = keep(sockets.tcpListen(LISTENER, { ...listeningEnd(port), address: Address.parse("127.0.0.1") }))
    const target = Demiflow.of(Interface.host, Address.parse("0.0.0.0"), 0, Address.parse("127.0.0.1"), port)
    const connectFrom = (count: number) => Array.from({ length: count }, () => keep(sockets.tcpConnect(SIDE, target)))
    return { listening, connectFrom }
  }
})
