import { Address, DatagramBatch, Demiflow, Errno, HostEvent, type SideRef, type Socket } from "@demiflow/core"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { LinuxHost } from "./linux-host.ts"
import { arena, Events, missing, native, openPingNamespace, type PingNamespace, towards } from "./test-support.ts"

const side = 9 as SideRef
const identifier = 0x4d2a
const region = arena.reserve(65_536, 64)
const batch = new DatagramBatch(8)

describe.skipIf(missing !== "")(`ping sockets${missing}`, () => {
  const events = new Events()
  let namespace: PingNamespace
  let host: LinuxHost

  beforeAll(async () => {
    namespace = await openPingNamespace()
    host = new LinuxHost(native, arena, events.loop, { sockets: namespace.sockets })
  })

  afterAll(() => namespace.close())

  function open(isV4: boolean): Socket {
    const demiflow = towards(isV4, 0)
    demiflow.forwardingPort = identifier
    return host.pingOpen(side, demiflow)
  }

  function request(isV4: boolean, payload: number[]): void {
    arena.bytes.set([isV4 ? 8 : 128, 0, 0, 0, 0, 0, 0x12, 0x34, ...payload], region)
    batch.offset[0] = region
    batch.length[0] = 8 + payload.length
    batch.segmentSize[0] = 0
  }

  for (const isV4 of [true, false]) {
    const family = isV4 ? "IPv4" : "IPv6"

    it(`keep identifier, sequence number and payload over ${family}`, () => {
      const socket = open(isV4)
      expect(socket).toBeGreaterThanOrEqual(0)
      request(isV4, [1, 2, 3])
      expect(host.sendDatagrams(socket, batch, 0, 1)).toBe(1)
      events.until(side, HostEvent.readable)
      batch.length[0] = 65_536
      expect(host.receiveDatagrams(socket, batch, 1)).toBe(1)
      const reply = arena.bytes.subarray(batch.offset[0], batch.offset[0] + batch.length[0])
      expect(reply[0]).toBe(isV4 ? 0 : 129)
      expect([...reply.subarray(4)]).toEqual([identifier >> 8, identifier & 255, 0x12, 0x34, 1, 2, 3])
      host.close(socket)
    })

    it(`take another identifier over ${family} when the one that is asked for is in use`, () => {
      const sockets = [open(isV4), open(isV4)]
      const identifiers = sockets.map((socket) => {
        const end = new Demiflow()
        expect(host.boundEnd(socket, end)).toBe(0)
        return end.forwardingPort
      })
      expect(identifiers[0]).toBe(identifier)
      expect(identifiers[1]).not.toBe(identifier)
      for (const socket of sockets) host.close(socket)
    })

    it(`take a hop limit over ${family}, and 0 for the host's own`, () => {
      const socket = open(isV4)
      for (const hopLimit of [1, 255, 0]) expect(host.setHopLimit(socket, isV4, hopLimit)).toBe(0)
      expect(host.setHopLimit(socket, isV4, 256)).toBe(-Errno.EINVAL)
      host.close(socket)
    })
  }

  it("say at once that there is no way to a correspondent", () => {
    const demiflow = new Demiflow()
    demiflow.correspondentAddress.copyFrom(Address.parse("192.0.2.1"))
    expect(host.pingOpen(side, demiflow)).toBe(-Errno.ENETUNREACH)
  })
})
