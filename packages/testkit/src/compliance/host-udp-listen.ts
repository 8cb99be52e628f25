import {
  type Address,
  Errno,
  ErrorOrigin,
  HostEvent,
  type ListenerRef,
  type Socket,
  UNSPECIFIED_V4,
  UNSPECIFIED_V6,
} from "@demiflow/core"
import { beforeEach, expect, it } from "vitest"
import { toBytes, toText } from "../bytes.ts"
import { patternBytes } from "../packets/layer.ts"
import type { HostBench, ReceivedDatagram } from "./host-bench.ts"
import type { CorrespondentUdp, End } from "./host-under-test.ts"

const { readable, error } = HostEvent

function listenAt(bench: HostBench, address: Readonly<Address> | undefined, port: number): [Socket, ListenerRef] {
  const listener = bench.newListener()
  const socket = bench.under.host.udpListen(listener, bench.listeningEnd(address as Address, port))
  expect(socket).toBeGreaterThanOrEqual(0)
  return [bench.keep(socket), listener]
}

/** Receives until so many datagrams have come. */
async function receive(bench: HostBench, socket: Socket, count: number): Promise<ReceivedDatagram[]> {
  const all: ReceivedDatagram[] = []
  await bench.until(`${count} datagrams arrive`, () => {
    const received = bench.receiveFromAnyone(socket)
    if (typeof received !== "number") all.push(...received)
    return all.length >= count
  })
  return all
}

const describeEnd = ({ address, port }: End) => `${address} ${port}`

/** The tests of a host's UDP sockets that listen and answer, over one version of IP. */
export function udpListenTests(bench: () => HostBench, isV4: boolean): void {
  let end: End
  let listening: Socket
  let listener: ListenerRef
  let remote: CorrespondentUdp

  beforeEach(async () => {
    end = bench().under.ownEnd(isV4)
    ;[listening, listener] = listenAt(bench(), end.address, end.port)
    remote = await bench().under.openUdp(isV4)
    return () => remote.close()
  })

  const host = () => bench().under.host
  const sendFrom = (correspondent: CorrespondentUdp, text: string) =>
    correspondent.send(toBytes(text), end.address, end.port)
  const tryToListen = (address: Address | undefined, port: number): number => {
    const socket = host().udpListen(bench().newListener(), bench().listeningEnd(address, port))
    if (socket >= 0) bench().keep(socket)
    return socket
  }

  /** Opens an answering socket for who sent a first datagram. */
  async function answer(): Promise<{ socket: Socket; side: ReturnType<HostBench["newSide"]> }> {
    sendFrom(remote, "first")
    const [{ ends }] = await receive(bench(), listening, 1)
    const side = bench().newSide()
    const socket = bench().keep(host().udpAnswer(side, ends))
    expect(socket).toBeGreaterThanOrEqual(0)
    expect(bench().receiveFromAnyone(socket)).toBe(-Errno.EAGAIN)
    return { socket, side }
  }

  it("tells that datagrams wait, and between whom each is", async () => {
    const other = await bench().under.openUdp(isV4)
    expect(bench().receiveFromAnyone(listening)).toBe(-Errno.EAGAIN)
    sendFrom(remote, "one")
    await bench().untilArrival(listener)
    sendFrom(other, "two")
    sendFrom(remote, "")
    sendFrom(other, "four")
    const datagrams = await receive(bench(), listening, 4)
    const seen = datagrams.map(({ bytes, ends }) => {
      const own = { address: ends.forwardingAddress, port: ends.forwardingPort }
      const sender = { address: ends.correspondentAddress, port: ends.correspondentPort }
      return `${describeEnd(sender)} → ${describeEnd(own)}: ${toText(bytes)}`
    })
    const line = (sender: End, text: string) => `${describeEnd(sender)} → ${describeEnd(end)}: ${text}`
    // Between those of one sender there is an order.
    const of = (sender: End) => seen.filter((text) => text.startsWith(describeEnd(sender)))
    expect(of(remote)).toEqual([line(remote, "one"), line(remote, "")])
    expect(of(other)).toEqual([line(other, "two"), line(other, "four")])
    expect(bench().receiveFromAnyone(listening)).toBe(-Errno.EAGAIN)
    bench().forgetArrivals(listener)
    sendFrom(remote, "later")
    await bench().untilArrival(listener)
    other.close()
  })

  it("leaves the interface of the ends as it is", async () => {
    bench().ends[0].interface = 3
    sendFrom(remote, "one")
    await receive(bench(), listening, 1)
    expect(bench().ends[0].interface).toBe(3)
  })

  it("carries the largest datagram, and says when one does not fit its place", async () => {
    const largest = patternBytes(65_507)
    remote.send(largest, end.address, end.port)
    const [{ bytes }] = await receive(bench(), listening, 1)
    expect(bytes).toEqual(largest)
    bench().forgetArrivals(listener)
    remote.send(patternBytes(1_000), end.address, end.port)
    await bench().untilArrival(listener)
    const { batch, region, ends } = bench()
    batch.offset[0] = region
    batch.length[0] = 100
    host().arena.bytes.fill(0xee, region, region + 200)
    expect(host().receiveFromAnyone(listening, batch, ends, 1)).toBe(1)
    expect(batch.length[0]).toBeGreaterThan(100)
    expect(bench().bytes(region, 101)).toEqual(Uint8Array.of(...patternBytes(100), 0xee))
  })

  it("answers from the end that was sent to", async () => {
    const { socket } = await answer()
    expect(bench().sendDatagrams(socket, toBytes("answer"))).toBe(1)
    await bench().until("it arrives", () => remote.received.length === 1)
    expect(remote.received).toEqual([toBytes("answer")])
    expect(remote.senders.map(describeEnd)).toEqual([describeEnd(end)])
    const bound = bench().towards(remote)
    expect(host().boundEnd(socket, bound)).toBe(0)
    expect(describeEnd({ address: bound.forwardingAddress, port: bound.forwardingPort })).toBe(describeEnd(end))
  })

  it("hears one correspondent at the answering socket, and all others where it listens", async () => {
    const { socket, side } = await answer()
    const other = await bench().under.openUdp(isV4)
    sendFrom(remote, "friend")
    sendFrom(other, "stranger")
    await bench().untilEvents(side, readable)
    expect(bench().receiveDatagrams(socket)).toEqual([toBytes("friend")])
    const [{ bytes, ends }] = await receive(bench(), listening, 1)
    expect(bytes).toEqual(toBytes("stranger"))
    expect(ends.correspondentPort).toBe(other.port)
    expect(bench().receiveFromAnyone(listening)).toBe(-Errno.EAGAIN)
    // Both at once.
    const second = bench().keep(host().udpAnswer(bench().newSide(), ends))
    expect(second).toBeGreaterThanOrEqual(0)
    expect(bench().sendDatagrams(second, toBytes("to the stranger"))).toBe(1)
    await bench().until("it arrives", () => other.received.length === 1)
    expect(describeEnd(other.senders[0])).toBe(describeEnd(end))
    other.close()
  })

  it("says between whom it is also at the answering socket", async () => {
    const { socket, side } = await answer()
    sendFrom(remote, "again")
    await bench().untilEvents(side, readable)
    const [{ bytes, ends }] = await receive(bench(), socket, 1)
    expect(bytes).toEqual(toBytes("again"))
    expect(describeEnd({ address: ends.correspondentAddress, port: ends.correspondentPort })).toBe(describeEnd(remote))
    expect(describeEnd({ address: ends.forwardingAddress, port: ends.forwardingPort })).toBe(describeEnd(end))
  })

  it("listens again for who was answered, once the answering socket is closed", async () => {
    const { socket } = await answer()
    host().close(socket)
    bench().closed(socket)
    sendFrom(remote, "back")
    const [{ bytes }] = await receive(bench(), listening, 1)
    expect(bytes).toEqual(toBytes("back"))
  })

  it("lets several sockets answer one correspondent, of which the newest hears it", async () => {
    const { socket, side } = await answer()
    const own = bench().towards(remote)
    expect(host().boundEnd(socket, own)).toBe(0)
    const newest = bench().keep(host().udpAnswer(bench().newSide(), own))
    expect(newest).toBeGreaterThanOrEqual(0)
    sendFrom(remote, "to the newest")
    await bench().until("it arrives", () => typeof bench().receiveDatagrams(newest) !== "number")
    host().close(newest)
    bench().closed(newest)
    sendFrom(remote, "to the other")
    await bench().untilEvents(side, readable)
    expect(bench().receiveDatagrams(socket)).toEqual([toBytes("to the other")])
  })

  it("queues at the answering socket what is reported of an answer", async () => {
    const { socket, side } = await answer()
    remote.close()
    await bench().settle()
    expect(bench().sendDatagrams(socket, toBytes("anybody?"))).toBe(1)
    await bench().untilEvents(side, error)
    expect(host().receiveError(socket, bench().socketError)).toBe(1)
    expect(bench().socketError.errno).toBe(Errno.ECONNREFUSED)
    expect(bench().socketError.origin).toBe(isV4 ? ErrorOrigin.icmp : ErrorOrigin.icmpv6)
    remote = await bench().under.openUdp(isV4)
  })

  it("tells nothing once it is closed", async () => {
    host().close(listening)
    bench().closed(listening)
    sendFrom(remote, "unheard")
    await bench().settle()
    expect(bench().eventsOfListener(listener)).toBe(0)
  })

  it("says when the port is in use, and listens again beside sockets that still answer from it", async () => {
    expect(tryToListen(end.address, end.port)).toBe(-Errno.EADDRINUSE)
    expect(tryToListen((isV4 ? UNSPECIFIED_V4 : UNSPECIFIED_V6) as Address, end.port)).toBe(-Errno.EADDRINUSE)
    expect(tryToListen(undefined, end.port)).toBe(-Errno.EADDRINUSE)
    const { socket } = await answer()
    // In use by the listening socket, whatever else there is.
    expect(tryToListen(end.address, end.port)).toBe(-Errno.EADDRINUSE)
    host().close(listening)
    bench().closed(listening)
    expect(tryToListen(end.address, end.port)).toBeGreaterThanOrEqual(0)
    sendFrom(remote, "friend")
    await bench().until("it arrives", () => bench().receiveDatagrams(socket) !== -Errno.EAGAIN)
  })
}

/** The tests of a host's UDP sockets that listen for any address. */
export function dualStackUdpTests(bench: () => HostBench): void {
  it("hears and answers both, each with addresses of its own version", async () => {
    const { port } = bench().under.ownEnd(true)
    const [listening] = listenAt(bench(), undefined, port)
    for (const isV4 of [true, false]) {
      const { address } = bench().under.ownEnd(isV4)
      const remote = await bench().under.openUdp(isV4)
      remote.send(toBytes("question"), address, port)
      const [{ ends }] = await receive(bench(), listening, 1)
      expect(describeEnd({ address: ends.forwardingAddress, port: ends.forwardingPort })).toBe(
        describeEnd({ address, port }),
      )
      const sender = { address: ends.correspondentAddress, port: ends.correspondentPort }
      expect(describeEnd(sender)).toBe(describeEnd(remote))
      const socket = bench().keep(bench().under.host.udpAnswer(bench().newSide(), ends))
      expect(bench().sendDatagrams(socket, toBytes("answer"))).toBe(1)
      await bench().until("it arrives", () => remote.received.length === 1)
      expect(describeEnd(remote.senders[0])).toBe(describeEnd({ address, port }))
      remote.close()
    }
  })

  it("listens for each version by a socket of its own as well", async () => {
    const { port } = bench().under.ownEnd(true)
    const sockets = [listenAt(bench(), UNSPECIFIED_V4, port)[0], listenAt(bench(), UNSPECIFIED_V6, port)[0]]
    for (const isV4 of [true, false]) {
      const remote = await bench().under.openUdp(isV4)
      remote.send(toBytes("question"), bench().under.ownEnd(isV4).address, port)
      const [{ ends }] = await receive(bench(), sockets[isV4 ? 0 : 1], 1)
      expect(ends.isV4).toBe(isV4)
      remote.close()
    }
  })
}
