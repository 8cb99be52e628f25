import {
  Errno,
  ErrorOrigin,
  IcmpType,
  Icmpv6Type,
  type SideRef,
  type Socket,
  SocketEvent,
  type SocketsCapabilities,
} from "@demiflow/core"
import { beforeEach, expect, it } from "vitest"
import { concatenate, toBytes } from "../bytes.ts"
import { patternBytes } from "../packets/layer.ts"
import { type SocketsBench, testOf } from "./sockets-bench.ts"
import type { CorrespondentUdp } from "./sockets-under-test.ts"

const { readable, error } = SocketEvent

/** The tests of a host's UDP sockets, over one version of IP. */
export function udpTests(bench: () => SocketsBench, isV4: boolean, capabilities: SocketsCapabilities): void {
  let remote: CorrespondentUdp
  let side: SideRef
  let socket: Socket
  let own: ReturnType<SocketsBench["towards"]>

  beforeEach(async () => {
    remote = await bench().under.openUdp(isV4)
    side = bench().newSide()
    own = bench().towards(remote)
    socket = bench().keep(host().udpOpen(side, own))
    expect(socket).toBeGreaterThanOrEqual(0)
    expect(host().boundEnd(socket, own)).toBe(0)
    return () => remote.close()
  })

  const host = () => bench().under.sockets

  /** Sends to the socket. A correspondent that can't know its end hears from there first. */
  async function answer(bytes: Uint8Array, from = remote): Promise<void> {
    if (capabilities.ownEnds) from.send(bytes, own.forwardingAddress, own.forwardingPort)
    else {
      if (remote.senders.length === 0) {
        expect(bench().sendDatagrams(socket, toBytes("hello"))).toBe(1)
        await bench().until("the correspondent hears of the socket", () => remote.senders.length > 0)
      }
      const [{ address, port }] = remote.senders
      from.send(bytes, address, port)
    }
  }

  /** Receives until `count` datagrams have arrived. */
  async function receive(count: number): Promise<Uint8Array[]> {
    const all: Uint8Array[] = []
    await bench().until(`${count} datagrams arrive`, () => {
      const received = bench().receiveDatagrams(socket)
      if (typeof received !== "number") all.push(...received)
      return all.length >= count
    })
    return all
  }

  it("sends datagrams one by one, empty ones as well", async () => {
    if (capabilities.ownEnds) expect(own.forwardingPort).toBeGreaterThan(0)
    expect(bench().sendDatagrams(socket, toBytes("one"), new Uint8Array(0), toBytes("three"))).toBe(3)
    await bench().until("all arrive", () => remote.received.length === 3)
    expect(remote.received).toEqual([toBytes("one"), new Uint8Array(0), toBytes("three")])
  })

  it("cuts what was left together", async () => {
    const content = patternBytes(2_500)
    host().arena.bytes.set(content, bench().region)
    bench().batch.offset[0] = bench().region
    bench().batch.length[0] = content.length
    bench().batch.segmentSize[0] = 1_000
    expect(host().sendDatagrams(socket, bench().batch, 0, 1)).toBe(1)
    await bench().until("all arrive", () => remote.received.length === 3)
    expect(remote.received).toEqual([content.slice(0, 1_000), content.slice(1_000, 2_000), content.slice(2_000)])
  })

  it("sends apart what was left together, however much it is", async () => {
    const content = patternBytes(605)
    host().arena.bytes.set(content, bench().region)
    bench().batch.offset[0] = bench().region
    bench().batch.length[0] = content.length
    bench().batch.segmentSize[0] = 3
    expect(host().sendDatagrams(socket, bench().batch, 0, 1)).toBe(1)
    await bench().until("all arrive", () => remote.received.length === 202)
    expect(remote.received.map(({ length }) => length)).toEqual([...new Array(201).fill(3), 2])
    expect(concatenate(remote.received)).toEqual(content)
  })

  it("receives into the caller's places, and reports when there is something", async () => {
    expect(bench().receiveDatagrams(socket)).toBe(-Errno.EAGAIN)
    await answer(toBytes("first"))
    await bench().untilEvents(side, readable)
    expect(await receive(1)).toEqual([toBytes("first")])
    await answer(toBytes("second"))
    await answer(new Uint8Array(0))
    await answer(toBytes("fourth"))
    await bench().untilEvents(side, readable)
    expect(await receive(3)).toEqual([toBytes("second"), new Uint8Array(0), toBytes("fourth")])
    expect(bench().receiveDatagrams(socket)).toBe(-Errno.EAGAIN)
  })

  it("carries the largest datagram, both ways, and refuses a larger one", async () => {
    const largest = patternBytes(isV4 ? 65_507 : 65_527)
    expect(bench().sendDatagrams(socket, largest)).toBe(1)
    await bench().until("it arrives", () => remote.received.length === 1)
    expect(remote.received[0]).toEqual(largest)
    await answer(largest.slice(0, 65_507))
    expect(await receive(1)).toEqual([largest.slice(0, 65_507)])
    expect(bench().sendDatagrams(socket, patternBytes(largest.length + 1))).toBe(-Errno.EMSGSIZE)
  })

  it("says so when a datagram does not fit its place", async () => {
    await answer(patternBytes(1_000))
    await bench().untilEvents(side, readable)
    const { batch, region } = bench()
    batch.offset[0] = region
    batch.length[0] = 100
    host().arena.bytes.fill(0xee, region, region + 200)
    expect(host().receiveDatagrams(socket, batch, 1)).toBe(1)
    expect(batch.length[0]).toBeGreaterThan(100)
    expect(bench().bytes(region, 101)).toEqual(Uint8Array.of(...patternBytes(100), 0xee))
  })

  it("hears nobody else", async () => {
    const other = await bench().under.openUdp(isV4)
    await answer(toBytes("intruder"), other)
    await answer(toBytes("friend"))
    expect(await receive(1)).toEqual([toBytes("friend")])
    await bench().settle()
    expect(bench().receiveDatagrams(socket)).toBe(-Errno.EAGAIN)
    other.close()
  })

  testOf(capabilities.errorQueue)("queues what is reported of a datagram, with what was sent", async () => {
    const end = bench().under.unusedEnd(isV4)
    const closedSide = bench().newSide()
    const towardsClosed = bench().keep(host().udpOpen(closedSide, bench().towards(end)))
    expect(host().receiveError(towardsClosed, bench().socketError)).toBe(0)
    expect(bench().sendDatagrams(towardsClosed, toBytes("anybody?"))).toBe(1)
    await bench().untilEvents(closedSide, error)
    expect(host().receiveError(towardsClosed, bench().socketError)).toBe(1)
    const { errno, origin, icmpType, destination, destinationPort, payloadOffset, payloadLength } = bench().socketError
    expect(errno).toBe(Errno.ECONNREFUSED)
    expect(origin).toBe(isV4 ? ErrorOrigin.icmp : ErrorOrigin.icmpv6)
    expect(icmpType).toBe(isV4 ? IcmpType.destinationUnreachable : Icmpv6Type.destinationUnreachable)
    expect([destination.toString(), destinationPort]).toEqual([end.address.toString(), end.port])
    expect(bench().bytes(payloadOffset, payloadLength)).toEqual(toBytes("anybody?"))
    expect(host().receiveError(towardsClosed, bench().socketError)).toBe(0)
  })

  testOf(capabilities.errorQueue)("goes on after an error was reported", async () => {
    const end = bench().under.unusedEnd(isV4)
    const closedSide = bench().newSide()
    const towardsClosed = bench().keep(host().udpOpen(closedSide, bench().towards(end)))
    bench().sendDatagrams(towardsClosed, toBytes("anybody?"))
    await bench().untilEvents(closedSide, error)
    // By the interface, another call returns the error at most once; then that call succeeds.
    const answers = [0, 1].map(() => bench().sendDatagrams(towardsClosed, toBytes("still?")))
    expect(answers[1]).toBe(1)
    expect(host().receiveError(towardsClosed, bench().socketError)).toBe(1)
  })

  testOf(capabilities.hopLimits)("takes a hop limit, and its default back", async () => {
    for (const hopLimit of [5, 255, 0]) {
      expect(host().setHopLimit(socket, isV4, hopLimit)).toBe(0)
      expect(bench().sendDatagrams(socket, toBytes(`${hopLimit}`))).toBe(1)
    }
    await bench().until("all arrive", () => remote.received.length === 3)
  })
}
