/** The memory of an idle flow: objects and its part of the flow table. The kernel's memory for it is not ours. */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import {
  type DatagramBatch,
  type Demiflow,
  IpProtocol,
  SocketEvent,
  targetSide,
  UDP_HEADER_LENGTH,
} from "@demiflow/core"
import { HollowStack } from "@demiflow/testkit"
import { expect, test } from "vitest"
import { udp } from "./index.ts"

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

const CAPACITY = 8_192
/** The share of the flow table that UDP may have. */
const FLOWS = CAPACITY - CAPACITY / 16
/** Flows begun before the count, so that what is allocated only once is there already. */
const FIRST_FLOWS = 1_024
const LIMIT = 750

/** Returns the bytes in use: objects, and arrays outside the heap. */
function inUse(): number {
  collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

function exchange(hollow: HollowStack, flow: number): void {
  const { arena, packet, stack } = hollow
  arena.view.setUint16(packet + 4, UDP_HEADER_LENGTH + 1)
  hollow.send(IpProtocol.udp, flow, UDP_HEADER_LENGTH + 1)
  stack.fromHost(targetSide(flow as never), SocketEvent.readable)
  hollow.endTurn()
}

test("an idle flow with a port of its own takes less than 750 bytes", () => {
  let answers = 0
  const receiveFromAnyone = (_: unknown, batch: DatagramBatch, ends: readonly Demiflow[]) => {
    if (answers === 0) return -11
    answers--
    const { forwardingAddress, forwardingPort } = hollow.sequence.demiflow
    ends[0].correspondentAddress.copyFrom(forwardingAddress)
    ends[0].correspondentPort = forwardingPort
    batch.length[0] = 1
    batch.count = 1
    return 1
  }
  const before = inUse()
  const hollow: HollowStack = new HollowStack([udp()], { capacity: CAPACITY, sockets: { receiveFromAnyone } })
  const table = (inUse() - before - hollow.arena.bytes.length) / CAPACITY
  const open = (from: number, to: number) => {
    for (let flow = from; flow < to; flow++) {
      answers = 1
      exchange(hollow, flow)
    }
  }
  open(0, FIRST_FLOWS)
  const began = inUse()
  open(FIRST_FLOWS, FLOWS)
  const objects = (inUse() - began) / (FLOWS - FIRST_FLOWS)
  expect(hollow.flows.size).toBe(FLOWS)
  expect(hollow.receivedCount).toBe(FLOWS)
  expect(table + objects).toBeLessThan(LIMIT)
})
