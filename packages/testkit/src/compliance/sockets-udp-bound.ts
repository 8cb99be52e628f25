import { Errno, type SideRef, type Socket, SocketEvent, type SocketsCapabilities } from "@demiflow/core"
import { beforeEach, expect, it } from "vitest"
import { toBytes, toText } from "../bytes.ts"
import { type SocketsBench, testOf } from "./sockets-bench.ts"
import type { CorrespondentUdp } from "./sockets-under-test.ts"

const { readable } = SocketEvent

/** The tests of a host's UDP sockets that many correspondents share, over one version of IP. */
export function udpBoundTests(bench: () => SocketsBench, isV4: boolean, capabilities: SocketsCapabilities): void {
  let first: CorrespondentUdp
  let second: CorrespondentUdp
  let side: SideRef
  let socket: Socket
  let own: ReturnType<SocketsBench["towards"]>

  beforeEach(async () => {
    first = await bench().under.openUdp(isV4)
    second = await bench().under.openUdp(isV4)
    side = bench().newSide()
    own = bench().towards(first)
    socket = bench().keep(host().udpBind(side, own))
    expect(socket).toBeGreaterThanOrEqual(0)
    expect(host().boundEnd(socket, own)).toBe(0)
    return () => {
      first.close()
      second.close()
    }
  })

  const host = () => bench().under.sockets

  /** Sends to the socket. A correspondent that can't know its end hears from there first. */
  async function sendFrom(correspondent: CorrespondentUdp, text: string): Promise<void> {
    if (capabilities.ownEnds) {
      correspondent.send(toBytes(text), bench().under.ownEnd(isV4).address, own.forwardingPort)
      return
    }
    expect(bench().sendDatagramsTo(socket, bench().towards(correspondent), toBytes("hello"))).toBe(1)
    await bench().until("the correspondent hears of the socket", () => correspondent.senders.length > 0)
    const [{ address, port }] = correspondent.senders
    correspondent.send(toBytes(text), address, port)
  }

  testOf(capabilities.ownEnds)("has a port, and the same one for all correspondents", async () => {
    expect(own.forwardingPort).toBeGreaterThan(0)
    for (const correspondent of [first, second, first]) {
      expect(bench().sendDatagramsTo(socket, bench().towards(correspondent), toBytes("content"))).toBe(1)
    }
    await bench().until("all arrive", () => first.received.length === 2 && second.received.length === 1)
    const ports = [...first.senders, ...second.senders].map(({ port }) => port)
    expect(ports).toEqual([own.forwardingPort, own.forwardingPort, own.forwardingPort])
  })

  it("takes a hop limit with each call, or leaves it to the host", async () => {
    for (const hopLimit of [64, 9, 0]) {
      bench().batch.marks = hopLimit
      expect(bench().sendDatagramsTo(socket, bench().towards(first), toBytes(`${hopLimit}`))).toBe(1)
    }
    bench().batch.marks = 0
    await bench().until("all arrive", () => first.received.length === 3)
    expect(first.received.map(toText)).toEqual(["64", "9", "0"])
  })

  testOf(!capabilities.ownEnds)("reaches several correspondents, each with all it is sent", async () => {
    for (const correspondent of [first, second, first]) {
      expect(bench().sendDatagramsTo(socket, bench().towards(correspondent), toBytes("content"))).toBe(1)
    }
    await bench().until("all arrive", () => first.received.length === 2 && second.received.length === 1)
  })

  it("hears anybody, and says whom", async () => {
    await sendFrom(first, "from the first")
    await bench().untilEvents(side, readable)
    await sendFrom(second, "from the second")
    const heard: string[] = []
    await bench().until("both arrive", () => {
      const received = bench().receiveFromAnyone(socket)
      if (typeof received === "number") return false
      for (const { bytes, ends } of received) {
        heard.push(`${ends.correspondentAddress} ${ends.correspondentPort} ${toText(bytes)}`)
      }
      return heard.length === 2
    })
    expect(heard.sort()).toEqual(
      [`${first.address} ${first.port} from the first`, `${second.address} ${second.port} from the second`].sort(),
    )
    expect(bench().receiveFromAnyone(socket)).toBe(-Errno.EAGAIN)
  })

  testOf(capabilities.ownEnds)("has its port alone, but for the other version of IP", () => {
    const again = bench().towards(first)
    again.forwardingPort = own.forwardingPort
    expect(host().udpBind(bench().newSide(), again)).toBe(-Errno.EADDRINUSE)
    expect(host().udpOpen(bench().newSide(), again)).toBe(-Errno.EADDRINUSE)
    const listening = host().udpListen(bench().newListener(), bench().listeningEnd(undefined, own.forwardingPort))
    expect(listening).toBe(-Errno.EADDRINUSE)
    const { address } = bench().under.unusedEnd(!isV4)
    const other = bench().towards({ address, port: 9 })
    other.forwardingPort = own.forwardingPort
    expect(bench().keep(host().udpBind(bench().newSide(), other))).toBeGreaterThanOrEqual(0)
  })

  it("reports its events to another side once it is handed over", async () => {
    const next = bench().newSide()
    host().handOver(socket, next)
    await sendFrom(first, "to the next")
    await bench().untilEvents(next, readable)
    expect(bench().eventsOf(side) & readable).toBe(0)
  })
}
