/** The memory of an idle connection: objects and its part of the flow table. The kernel's memory for it is not ours. */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { HollowStack } from "@demiflow/testkit"
import { expect, test } from "vitest"
import { tcp } from "./index.ts"

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

const FLOWS = 8_192
/** Connections begun before the count, so that what is allocated only once is there already. */
const FIRST_FLOWS = 1_024
const LIMIT = 1_024

/** Returns the bytes in use: objects, and arrays outside the heap. */
function inUse(): number {
  collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

function connect(hollow: HollowStack, flow: number): void {
  hollow.connect(flow)
  hollow.endTurn()
}

test("an idle connection takes less than 1 KiB", () => {
  const before = inUse()
  const hollow = new HollowStack([tcp({ holdPoolSize: 0 })], { capacity: FLOWS })
  const table = (inUse() - before - hollow.arena.bytes.length) / FLOWS
  for (let flow = 0; flow < FIRST_FLOWS; flow++) connect(hollow, flow)
  const began = inUse()
  for (let flow = FIRST_FLOWS; flow < FLOWS; flow++) connect(hollow, flow)
  const objects = (inUse() - began) / (FLOWS - FIRST_FLOWS)
  expect(hollow.flows.size).toBe(FLOWS)
  expect(hollow.receivedCount).toBe(FLOWS)
  expect(table + objects).toBeLessThan(LIMIT)
})
