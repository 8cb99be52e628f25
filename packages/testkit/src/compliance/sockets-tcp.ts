import { Errno, type SideRef, type Socket, SocketEvent, type SocketsCapabilities } from "@demiflow/core"
import { beforeEach, expect, it } from "vitest"
import { concatenate, sameBytes, toBytes } from "../bytes.ts"
import { patternBytes } from "../packets/layer.ts"
import { type SocketsBench, testOf } from "./sockets-bench.ts"
import type { CorrespondentConnection, CorrespondentListener } from "./sockets-under-test.ts"

const { readable, writable, error, hangUp, readEnd } = SocketEvent

/** The tests of a host's TCP sockets, over one version of IP. */
export function tcpTests(bench: () => SocketsBench, isV4: boolean, capabilities: SocketsCapabilities): void {
  let listener: CorrespondentListener
  let side: SideRef
  let socket: Socket
  let remote: CorrespondentConnection

  beforeEach(async () => {
    listener = await bench().under.listen(isV4)
    side = bench().newSide()
    socket = bench().keep(bench().under.sockets.tcpConnect(side, bench().towards(listener)))
    expect(socket).toBeGreaterThanOrEqual(0)
    await bench().untilEvents(side, writable)
    await bench().until("the connection is accepted", () => listener.connections.length > 0)
    remote = listener.connections[0]
    return () => listener.close()
  })

  const host = () => bench().under.sockets

  /** Waits until `length` bytes have arrived at the host. */
  async function arrived(length: number): Promise<void> {
    await bench().until(`${length} bytes arrive`, () => host().unread(socket) === length)
  }

  it("reports a connection by `writable`, with no error, and names the end that it has", async () => {
    expect(host().socketError(socket)).toBe(0)
    if (!capabilities.ownEnds) return
    const demiflow = bench().towards(listener)
    expect(host().boundEnd(socket, demiflow)).toBe(0)
    expect(demiflow.forwardingPort).toBeGreaterThan(0)
    expect(demiflow.forwardingAddress.isUnspecified).toBe(false)
    expect(demiflow.forwardingAddress.isV4).toBe(isV4)
  })

  it("has an outcome of the connect, which takes the error of a refusal", async () => {
    expect(host().connectOutcome(socket)).toBe(0)
    const refusedSide = bench().newSide()
    const refused = bench().keep(host().tcpConnect(refusedSide, bench().towards(bench().under.unusedEnd(isV4))))
    await bench().untilEvents(refusedSide, error)
    expect(host().connectOutcome(refused)).toBe(-Errno.ECONNREFUSED)
    expect(host().socketError(refused)).toBe(0)
  })

  it("reports a refused connection by `error`", async () => {
    const refusedSide = bench().newSide()
    const refused = bench().keep(host().tcpConnect(refusedSide, bench().towards(bench().under.unusedEnd(isV4))))
    expect(refused).toBeGreaterThanOrEqual(0)
    await bench().untilEvents(refusedSide, error)
    expect(host().socketError(refused)).toBe(-Errno.ECONNREFUSED)
    expect(host().socketError(refused)).toBe(0)
  })

  it("sends what several vectors name, in their order, and only these", async () => {
    bench().put(toBytes("not this"), 0, 0)
    bench().put(toBytes("one "), 100, 1)
    bench().put(toBytes("two "), 50, 2)
    bench().put(toBytes("three"), 200, 3)
    expect(host().send(socket, bench().vectors, 1, 3)).toBe(13)
    await bench().until("all arrives", () => remote.received.length === 13)
    expect(remote.received).toEqual(toBytes("one two three"))
  })

  it("takes a part when the send buffer is full, refuses the rest, and reports when there is room", async () => {
    remote.pause()
    const content = patternBytes(60_000)
    let sent = 0
    let refusals = 0
    // Until it refuses twice in a row with a pause between: by then nothing is in flight.
    while (refusals < 2 && sent < 200 << 20) {
      const taken = bench().send(socket, content)
      if (taken >= 0) {
        sent += taken
        refusals = 0
      } else {
        expect(taken).toBe(-Errno.EAGAIN)
        refusals++
        await bench().settle(100)
      }
    }
    expect(refusals).toBe(2)
    expect(host().unacknowledged(socket)).toBeGreaterThan(0)
    bench().forgetEvents(side)
    remote.resume()
    await bench().untilEvents(side, writable)
    expect(bench().send(socket, toBytes("more"))).toBe(4)
    await bench().until("all arrives", () => remote.received.length === sent + 4)
    await bench().until("all is acknowledged", () => host().unacknowledged(socket) === 0)
    expect(host().tcpInformation(socket, bench().information)).toBe(0)
    expect(bench().information.bytesAcknowledged).toBe(sent + 4)
  })

  it("peeks without taking away, from any place on, into several vectors", async () => {
    const content = patternBytes(1_000)
    remote.write(content)
    await arrived(1_000)
    expect(bench().peek(socket, 600, 0)).toEqual(content.slice(0, 600))
    expect(bench().peek(socket, 600, 600)).toEqual(content.slice(600))
    expect(bench().peek(socket, 100, 50)).toEqual(content.slice(50, 150))
    expect(bench().peek(socket, 600, 0)).toEqual(content.slice(0, 600))
    expect(host().unread(socket)).toBe(1_000)
    bench().vectors.set(2, bench().region, 10)
    bench().vectors.set(3, bench().region + 500, 20)
    expect(host().peek(socket, bench().vectors, 2, 2, 5)).toBe(30)
    const pieces = [bench().bytes(bench().region, 10), bench().bytes(bench().region + 500, 20)]
    expect(concatenate(pieces)).toEqual(content.slice(5, 35))
  })

  it("peeks relative to what was discarded", async () => {
    const content = patternBytes(1_000)
    remote.write(content)
    await arrived(1_000)
    expect(bench().peek(socket, 100, 300)).toEqual(content.slice(300, 400))
    expect(host().discard(socket, 350)).toBe(350)
    expect(host().unread(socket)).toBe(650)
    expect(bench().peek(socket, 100, 0)).toEqual(content.slice(350, 450))
    expect(bench().peek(socket, 2_000, 600)).toEqual(content.slice(950))
    expect(host().discard(socket, 650)).toBe(650)
    remote.write(toBytes("later"))
    await arrived(5)
    expect(bench().peek(socket, 100, 0)).toEqual(toBytes("later"))
  })

  it("answers EAGAIN when nothing has arrived, and nothing more behind what was peeked", async () => {
    expect(bench().peek(socket, 10, 0)).toBe(-Errno.EAGAIN)
    expect(host().unread(socket)).toBe(0)
    remote.write(toBytes("abc"))
    await arrived(3)
    expect(bench().peek(socket, 10, 3)).toBe(-Errno.EAGAIN)
    expect(bench().peek(socket, 10, 50)).toBe(-Errno.EAGAIN)
  })

  it("reports each arrival, also while earlier bytes are left where they are", async () => {
    remote.write(toBytes("first"))
    await bench().untilEvents(side, readable)
    await bench().settle()
    bench().forgetEvents(side)
    await bench().settle()
    expect(bench().eventsOf(side) & readable).toBe(0)
    remote.write(toBytes("second"))
    await bench().untilEvents(side, readable)
    expect(bench().peek(socket, 100, 0)).toEqual(toBytes("firstsecond"))
  })

  it("counts what the correspondent has sent, whether it was read or not, and its end as a byte", async () => {
    const count = () => {
      expect(host().tcpInformation(socket, bench().information)).toBe(0)
      return bench().information.bytesReceived
    }
    expect(count()).toBe(0)
    remote.write(patternBytes(1_000))
    await arrived(1_000)
    expect(count()).toBe(1_000)
    expect(host().discard(socket, 300)).toBe(300)
    remote.write(toBytes("more"))
    remote.end()
    await bench().untilEvents(side, readEnd)
    expect(count()).toBe(1_005)
  })

  testOf(!capabilities.halfClose)("reports the correspondent's end after all it sent, and sends no more", async () => {
    remote.write(toBytes("last words"))
    remote.end()
    await bench().untilEvents(side, readEnd)
    expect(bench().peek(socket, 100, 0)).toEqual(toBytes("last words"))
    expect(bench().peek(socket, 100, 10)).toEqual(new Uint8Array(0))
    expect(host().unread(socket)).toBe(10)
    expect(bench().send(socket, toBytes("x"))).toBe(-Errno.EPIPE)
    expect(host().discard(socket, 10)).toBe(10)
    expect(bench().peek(socket, 100, 0)).toEqual(new Uint8Array(0))
  })

  testOf(!capabilities.halfClose)(
    "still receives after its direction has ended, and then closes in order",
    async () => {
      expect(bench().send(socket, toBytes("last words"))).toBe(10)
      expect(host().shutdownWrite(socket)).toBe(0)
      expect(bench().send(socket, toBytes("x"))).toBe(-Errno.EPIPE)
      await bench().until("all arrives", () => remote.received.length === 10)
      remote.write(toBytes("answer"))
      await arrived(6)
      expect(bench().peek(socket, 100, 0)).toEqual(toBytes("answer"))
      expect(host().discard(socket, 6)).toBe(6)
      host().close(socket)
      bench().closed(socket)
      await bench().until("the end arrives", () => remote.isEnded)
      expect(remote.isReset).toBe(false)
    },
  )

  testOf(capabilities.halfClose)("reports the correspondent's end after all it sent, and still sends", async () => {
    remote.write(toBytes("last words"))
    remote.end()
    await bench().untilEvents(side, readEnd)
    expect(bench().peek(socket, 100, 0)).toEqual(toBytes("last words"))
    expect(bench().peek(socket, 100, 10)).toEqual(new Uint8Array(0))
    expect(host().unread(socket)).toBe(10)
    expect(host().discard(socket, 10)).toBe(10)
    expect(bench().peek(socket, 100, 0)).toEqual(new Uint8Array(0))
    const content = patternBytes(50_000)
    expect(bench().send(socket, content)).toBe(content.length)
    await bench().until("all arrives", () => sameBytes(remote.received, content))
    expect(remote.isEnded).toBe(false)
  })

  testOf(capabilities.halfClose)("ends its direction after all that was handed over, and still receives", async () => {
    expect(bench().send(socket, toBytes("last words"))).toBe(10)
    expect(host().shutdownWrite(socket)).toBe(0)
    await bench().until("the end arrives", () => remote.isEnded)
    expect(remote.received).toEqual(toBytes("last words"))
    expect(bench().send(socket, toBytes("x"))).toBe(-Errno.EPIPE)
    remote.write(toBytes("answer"))
    await arrived(6)
    expect(bench().peek(socket, 100, 0)).toEqual(toBytes("answer"))
  })

  testOf(capabilities.halfClose)("reports the end of both directions by `hangUp`", async () => {
    await bench().settle()
    expect(bench().eventsOf(side) & hangUp).toBe(0)
    expect(host().shutdownWrite(socket)).toBe(0)
    await bench().until("the end arrives", () => remote.isEnded)
    remote.end()
    await bench().untilEvents(side, hangUp | readEnd)
  })

  it("reports a reset by `error`, once", async () => {
    remote.reset()
    await bench().untilEvents(side, error | hangUp)
    expect(host().socketError(socket)).toBe(-Errno.ECONNRESET)
    expect(host().socketError(socket)).toBe(0)
    expect(bench().send(socket, toBytes("x"))).toBe(-Errno.EPIPE)
  })

  it("resets a connection", async () => {
    host().reset(socket)
    bench().closed(socket)
    await bench().until("the reset arrives", () => remote.isReset)
  })

  it("closes in order: what was handed over is delivered, then the end", async () => {
    const content = patternBytes(30_000)
    expect(bench().send(socket, content)).toBe(content.length)
    host().close(socket)
    bench().closed(socket)
    await bench().until("the end arrives", () => remote.isEnded)
    expect(sameBytes(remote.received, content)).toBe(true)
    expect(remote.isReset).toBe(false)
  })

  it("reports nothing of a socket that was closed", async () => {
    await bench().settle()
    remote.write(toBytes("unheard"))
    host().close(socket)
    bench().closed(socket)
    bench().forgetEvents(side)
    await bench().settle()
    expect(bench().eventsOf(side)).toBe(0)
  })

  testOf(capabilities.probes)(
    "asks a silent correspondent whether it is still there, which ends the silence",
    async () => {
      const silence = () => {
        expect(host().tcpInformation(socket, bench().information)).toBe(0)
        return bench().information.silence
      }
      await bench().until("a second of silence has passed", () => silence() >= 1_000)
      expect(host().keepAlive(socket, 1)).toBe(0)
      await bench().until("the correspondent answers", () => silence() < 1_000)
      expect(host().keepAlive(socket, 0)).toBe(0)
      await bench().until("a second of silence has passed again", () => silence() >= 1_000)
      expect(host().askCorrespondent(socket)).toBe(0)
      await bench().until("the correspondent answers again", () => silence() < 1_000)
      expect(host().keepAlive(socket, 0)).toBe(0)
      expect(bench().eventsOf(side) & (readable | error | hangUp | readEnd)).toBe(0)
    },
  )

  testOf(capabilities.tcpMetrics)("knows the size of its send buffer and something of the connection", async () => {
    expect(host().sendBufferSize(socket)).toBeGreaterThan(0)
    expect(host().tcpInformation(socket, bench().information)).toBe(0)
    const { rtt, minimumRtt, sendMss, bytesAcknowledged } = bench().information
    expect(bytesAcknowledged).toBe(0)
    expect(sendMss).toBeGreaterThan(0)
    expect(rtt).toBeGreaterThanOrEqual(0)
    expect(minimumRtt).toBeGreaterThanOrEqual(0)
  })
}
