import {
  type Address,
  type Demiflow,
  Errno,
  ErrorOrigin,
  type ListenerRef,
  type Socket,
  SocketEvent,
  type SocketsCapabilities,
  UNSPECIFIED_V4,
  UNSPECIFIED_V6,
} from "@demiflow/core"
import { beforeEach, expect, it } from "vitest"
import { toBytes, toText } from "../bytes.ts"
import { patternBytes } from "../packets/layer.ts"
import { type ReceivedDatagram, type SocketsBench, testOf } from "./sockets-bench.ts"
import type { CorrespondentUdp, End } from "./sockets-under-test.ts"

const { readable, error } = SocketEvent

function listenAt(bench: SocketsBench, address: Readonly<Address> | undefined, port: number): [Socket, ListenerRef] {
  const listener = bench.newListener()
  const socket = bench.under.sockets.udpListen(listener, bench.listeningEnd(address as Address, port))
  expect(socket).toBeGreaterThanOrEqual(0)
  return [bench.keep(socket), listener]
}

/** Receives until `count` datagrams have arrived. */
async function receive(bench: SocketsBench, socket: Socket, count: number): Promise<ReceivedDatagram[]> {
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
export function udpListenTests(bench: () => SocketsBench, isV4: boolean, capabilities: SocketsCapabilities): void {
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

  const host = () => bench().under.sockets
  const sendFrom = (correspondent: CorrespondentUdp, text: string) =>
    correspondent.send(toBytes(text), end.address, end.port)
  const tryToListen = (address: Address | undefined, port: number): number => {
    const socket = host().udpListen(bench().newListener(), bench().listeningEnd(address, port))
    if (socket >= 0) bench().keep(socket)
    return socket
  }

  /** Has a first datagram arrive. Returns its two ends. */
  async function question(): Promise<Demiflow> {
    sendFrom(remote, "first")
    const [{ ends }] = await receive(bench(), listening, 1)
    return ends
  }

  it("reports that datagrams wait, and names both ends of each", async () => {
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
    // Datagrams of one sender arrive in order.
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
    const ends = await question()
    expect(bench().sendDatagramsTo(listening, ends, toBytes("answer"), toBytes("another"))).toBe(2)
    await bench().until("they arrive", () => remote.received.length === 2)
    expect(remote.received).toEqual([toBytes("answer"), toBytes("another")])
    expect(remote.senders.map(describeEnd)).toEqual([describeEnd(end), describeEnd(end)])
  })

  it("answers each correspondent, and goes on hearing all of them", async () => {
    const first = await question()
    const other = await bench().under.openUdp(isV4)
    sendFrom(other, "stranger")
    const [{ ends: second }] = await receive(bench(), listening, 1)
    expect(bench().sendDatagramsTo(listening, second, toBytes("to the stranger"))).toBe(1)
    expect(bench().sendDatagramsTo(listening, first, toBytes("to the first"))).toBe(1)
    await bench().until("they arrive", () => other.received.length === 1 && remote.received.length === 1)
    expect([other.received, remote.received]).toEqual([[toBytes("to the stranger")], [toBytes("to the first")]])
    sendFrom(remote, "again")
    sendFrom(other, "too")
    const ports = (await receive(bench(), listening, 2)).map(({ ends }) => ends.correspondentPort)
    expect(ports.sort()).toEqual([remote.port, other.port].sort())
    other.close()
  })

  it("cuts what is left together, and what it sends apart goes from the same end", async () => {
    const ends = await question()
    const { batch, region } = bench()
    const content = patternBytes(605)
    host().arena.bytes.set(content, region)
    batch.offset[0] = region
    batch.length[0] = content.length
    for (const [size, count] of [
      [100, 7],
      [3, 202],
    ]) {
      batch.offset[0] = region
      batch.length[0] = content.length
      batch.segmentSize[0] = size
      const before = remote.received.length
      expect(host().sendDatagramsTo(listening, ends, 0, batch, 0, 1)).toBe(1)
      await bench().until("all arrive", () => remote.received.length === before + count)
    }
    expect(new Set(remote.senders.map(describeEnd))).toEqual(new Set([describeEnd(end)]))
  })

  testOf(capabilities.errorQueue)(
    "queues what is reported of an answer, whom it was for, and from which address it left",
    async () => {
      const ends = await question()
      remote.close()
      await bench().settle()
      bench().forgetArrivals(listener)
      expect(bench().sendDatagramsTo(listening, ends, toBytes("anybody?"))).toBe(1)
      await bench().until("it is reported", () => (bench().eventsOfListener(listener) & error) !== 0)
      const { socketError } = bench()
      expect(host().receiveError(listening, socketError)).toBe(1)
      expect(socketError.errno).toBe(Errno.ECONNREFUSED)
      expect(socketError.origin).toBe(isV4 ? ErrorOrigin.icmp : ErrorOrigin.icmpv6)
      expect([`${socketError.destination}`, socketError.destinationPort]).toEqual([`${remote.address}`, remote.port])
      expect(`${socketError.source}`).toBe(`${ends.forwardingAddress}`)
      remote = await bench().under.openUdp(isV4)
    },
  )

  it("reports its events to a side once it is handed over", async () => {
    const side = bench().newSide()
    host().handOver(listening, side)
    sendFrom(remote, "to the side")
    await bench().untilEvents(side, readable)
    expect(bench().eventsOfListener(listener)).toBe(0)
  })

  it("reports nothing once it is closed", async () => {
    host().close(listening)
    bench().closed(listening)
    sendFrom(remote, "unheard")
    await bench().settle()
    expect(bench().eventsOfListener(listener)).toBe(0)
  })

  it("says when the port is in use, and that nobody else may have it", async () => {
    expect(tryToListen(end.address, end.port)).toBe(-Errno.EADDRINUSE)
    expect(tryToListen((isV4 ? UNSPECIFIED_V4 : UNSPECIFIED_V6) as Address, end.port)).toBe(-Errno.EADDRINUSE)
    expect(tryToListen(undefined, end.port)).toBe(-Errno.EADDRINUSE)
    const own = bench().towards(remote)
    own.forwardingPort = end.port
    expect(host().udpBind(bench().newSide(), own)).toBe(-Errno.EADDRINUSE)
    host().close(listening)
    bench().closed(listening)
    expect(tryToListen(end.address, end.port)).toBeGreaterThanOrEqual(0)
  })
}

/** The tests of a host's UDP sockets that listen for any address. */
export function dualStackUdpTests(bench: () => SocketsBench, capabilities: SocketsCapabilities): void {
  testOf(capabilities.datagramDestinations)(
    "hears and answers both, each with addresses of its own version",
    async () => {
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
        expect(bench().sendDatagramsTo(listening, ends, toBytes("answer"))).toBe(1)
        await bench().until("it arrives", () => remote.received.length === 1)
        expect(describeEnd(remote.senders[0])).toBe(describeEnd({ address, port }))
        remote.close()
      }
    },
  )

  it("listens for each version by a socket of its own as well", async () => {
    const { port } = bench().under.ownEnd(true)
    const opened = [listenAt(bench(), UNSPECIFIED_V4, port)[0], listenAt(bench(), UNSPECIFIED_V6, port)[0]]
    for (const isV4 of [true, false]) {
      const remote = await bench().under.openUdp(isV4)
      remote.send(toBytes("question"), bench().under.ownEnd(isV4).address, port)
      const [{ ends }] = await receive(bench(), opened[isV4 ? 0 : 1], 1)
      expect(ends.isV4).toBe(isV4)
      remote.close()
    }
  })
}
