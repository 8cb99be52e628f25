import { Errno, type SocketsCapabilities } from "@demiflow/core"
import { expect } from "vitest"
import { type SocketsBench, testOf } from "./sockets-bench.ts"

/** The tests of what a host can't do, over one version of IP: it says so, and nothing else happens. */
export function unsupportedTests(bench: () => SocketsBench, isV4: boolean, capabilities: SocketsCapabilities): void {
  const { ping, listening, datagrams, hopLimits } = capabilities
  const host = () => bench().under.sockets
  const elsewhere = () => bench().towards(bench().under.unusedEnd(isV4))

  testOf(!listening)("refuses to listen", () => {
    const { address, port } = bench().under.ownEnd(isV4)
    const end = bench().listeningEnd(address, port)
    expect(host().tcpListen(bench().newListener(), end)).toBe(-Errno.EPROTONOSUPPORT)
    expect(host().udpListen(bench().newListener(), end)).toBe(-Errno.EPROTONOSUPPORT)
  })

  testOf(!datagrams)("refuses to open UDP sockets", () => {
    expect(host().udpOpen(bench().newSide(), elsewhere())).toBe(-Errno.EPROTONOSUPPORT)
    expect(host().udpBind(bench().newSide(), elsewhere())).toBe(-Errno.EPROTONOSUPPORT)
  })

  testOf(datagrams && !hopLimits)("refuses to set the hop limit of datagrams", () => {
    const socket = bench().keep(host().udpOpen(bench().newSide(), elsewhere()))
    expect(host().setHopLimit(socket, isV4, 5)).toBe(-Errno.EPROTONOSUPPORT)
  })

  testOf(!ping)("refuses to open ping sockets", () => {
    expect(host().pingBind(bench().newSide(), elsewhere())).toBe(-Errno.EACCES)
  })
}
