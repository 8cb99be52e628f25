import { Socket as NodeDatagrams } from "node:dgram"
import { Address, Arena, DatagramBatch, Demiflow, Errno, Interface, type SideRef, UNSPECIFIED_V4 } from "@demiflow/core"
import { afterEach, describe, expect, test, vi } from "vitest"
import { defaultHopLimit } from "./default-hop-limit.ts"
import { NodeLoop } from "./node-loop.ts"
import { NodeSockets } from "./node-sockets.ts"

const SIDE = 2 as SideRef
const arena = new Arena(1 << 20)
const sockets = new NodeSockets(arena, new NodeLoop())
const batch = new DatagramBatch(1)
const towards = (address: string, port: number) =>
  Demiflow.of(Interface.host, UNSPECIFIED_V4 as Address, 0, Address.parse(address), port)

afterEach(() => {
  expect(sockets.openSockets).toBe(0)
})

/** One datagram of ten bytes. */
function datagram(): DatagramBatch {
  batch.offset[0] = 0
  batch.length[0] = 10
  batch.segmentSize[0] = 0
  return batch
}

test("a hop limit is set when it changes, and the host's default is set again", () => {
  const set = vi.spyOn(NodeDatagrams.prototype, "setTTL")
  const bound = sockets.udpBind(SIDE, towards("127.0.0.1", 9))
  for (const hopLimit of [9, 9, 1, 0, 0]) {
    batch.marks = hopLimit
    expect(sockets.sendDatagramsTo(bound, towards("127.0.0.1", 9), 0, datagram(), 0, 1)).toBe(1)
  }
  batch.marks = 0
  expect(set.mock.calls).toEqual([[9], [1], [defaultHopLimit(true)]])
  expect(sockets.setHopLimit(bound, true, 256)).toBe(-Errno.EINVAL)
  sockets.close(bound)
  set.mockRestore()
})

test("a hop limit doesn't change while datagrams with another one wait: the next one isn't sent", () => {
  const bound = sockets.udpBind(SIDE, towards("127.0.0.1", 9))
  const waiting = vi.spyOn(NodeDatagrams.prototype, "getSendQueueCount").mockReturnValue(1)
  const send = (hopLimit: number) => {
    batch.marks = hopLimit
    return sockets.sendDatagramsTo(bound, towards("127.0.0.1", 9), 0, datagram(), 0, 1)
  }
  expect([send(0), send(9), sockets.setHopLimit(bound, true, 9)]).toEqual([1, -Errno.EAGAIN, -Errno.EAGAIN])
  waiting.mockRestore()
  expect([send(9), sockets.setHopLimit(bound, true, 9)]).toEqual([1, 0])
  batch.marks = 0
  sockets.close(bound)
})

describe("what the runtime throws for", () => {
  test("a datagram to port 0 is refused", () => {
    const bound = sockets.udpBind(SIDE, towards("127.0.0.1", 0))
    expect(sockets.sendDatagramsTo(bound, towards("127.0.0.1", 0), 0, datagram(), 0, 1)).toBe(-Errno.EINVAL)
    expect(sockets.sendDatagramsTo(bound, towards("127.0.0.1", 9), 0, datagram(), 0, 1)).toBe(1)
    sockets.close(bound)
    expect(sockets.udpOpen(SIDE, towards("127.0.0.1", 0))).toBe(-Errno.EINVAL)
  })

  test("a socket that can't be connected isn't opened", () => {
    expect(sockets.udpOpen(SIDE, towards("255.255.255.255", 9))).toBe(-Errno.EACCES)
    const outside = towards("192.0.2.1", 9)
    outside.forwardingAddress.copyFrom(Address.parse("127.0.0.1"))
    expect(sockets.udpOpen(SIDE, outside)).toBe(-Errno.EINVAL)
  })
})
