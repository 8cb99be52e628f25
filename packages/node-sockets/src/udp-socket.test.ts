import { Address, Arena, DatagramBatch, Demiflow, Errno, Interface, type SideRef, UNSPECIFIED_V4 } from "@demiflow/core"
import { afterEach, describe, expect, test } from "vitest"
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

describe("what the runtime throws for", () => {
  test("a datagram to port 0 is refused", () => {
    const bound = sockets.udpBind(SIDE, towards("127.0.0.1", 0))
    expect(sockets.sendDatagramsTo(bound, towards("127.0.0.1", 0), 0, datagram(), 0, 1)).toBe(-Errno.EINVAL)
    expect(sockets.sendDatagramsTo(bound, towards("127.0.0.1", 9), 0, datagram(), 0, 1)).toBe(1)
    sockets.close(bound)
    expect(sockets.udpOpen(SIDE, towards("127.0.0.1", 0))).toBe(-Errno.EINVAL)
  })

  test("a socket that could not be connected refuses each datagram, with the reason first", async () => {
    const socket = sockets.udpOpen(SIDE, towards("255.255.255.255", 9))
    await new Promise((resolve) => setImmediate(resolve))
    expect(sockets.sendDatagrams(socket, datagram(), 0, 1)).toBe(-Errno.EACCES)
    expect(sockets.sendDatagrams(socket, datagram(), 0, 1)).toBe(-Errno.EINVAL)
    sockets.close(socket)
  })
})
