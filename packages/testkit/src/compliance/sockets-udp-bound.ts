import { Errno, type SideRef, type Socket, SocketEvent } from "@demiflow/core"
import { beforeEach, expect, it } from "vitest"
import { toBytes, toText } from "../bytes.ts"
import type { SocketsBench } from "./sockets-bench.ts"
import type { CorrespondentUdp } from "./sockets-under-test.ts"

const { readable } = SocketEvent

/** The tests of a host's UDP sockets that many correspondents share, over one version of IP. */
export function udpBoundTests(bench: () => SocketsBench, isV4: boolean): void {
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
  const sendFrom = (correspondent: CorrespondentUdp, text: string) =>
    correspondent.send(toBytes(text), bench().under.ownEnd(isV4).address, own.forwardingPort)

  it("has a port, and the same one for all correspondents", async () => {
    expect(own.forwardingPort).toBeGreaterThan(0)
    for (const correspondent of [first, second, first]) {
      expect(bench().sendDatagramsTo(socket, bench().towards(correspondent), toBytes("content"))).toBe(1)
    }
    await bench().until("all arrive", () => first.received.length === 2 && second.received.length === 1)
    const ports = [...first.senders, ...second.senders].map(({ port }) => port)
    expect(ports).toEqual([own.forwardingPort, own.forwardingPort, own.forwardingPort])
  })

  it("hears anybody, and says whom", async () => {
    sendFrom(first, "from the first")
    await bench().untilEvents(side, readable)
    sendFrom(second, "from the second")
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

  it("has its port alone, but for the other version of IP", () => {
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
    sendFrom(first, "to the next")
    await bench().untilEvents(next, readable)
    expect(bench().eventsOf(side) & readable).toBe(0)
  })
}
