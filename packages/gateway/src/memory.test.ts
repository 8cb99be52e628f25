/** The memory of a gateway at rest, and what a thread has room for. */
import { attachedArena } from "@demiflow/sys"
import { memoryLinkPair } from "@demiflow/tap"
import { expect, test } from "vitest"
import { createGateway, type Gateway } from "./gateway.ts"
import { inUse } from "./memory-in-use.fixture.ts"

const GATEWAYS = 100
/** Gateways before the count, so that what is allocated only once is there already. */
const FIRST_GATEWAYS = 5
/** Bytes of objects and arrays. The system's own measure, the resident set, is the rest of 300 kB larger. */
const LIMIT = 180_000
const ARENA_BYTES = 2 ** 31

async function open(count: number, into: Gateway[]): Promise<void> {
  for (let index = 0; index < count; index++) {
    const link = (arena: Parameters<typeof memoryLinkPair>[0]) =>
      memoryLinkPair(arena, arena, { queueBytes: 65_536, queueFrames: 64 })[0]
    into.push(await createGateway({ link, nameServers: ["192.0.2.53"] }))
  }
}

test("a gateway at rest takes less than 180 kB of objects, and 300 fit into the arena of a thread", async () => {
  const gateways: Gateway[] = []
  await open(FIRST_GATEWAYS, gateways)
  const [before, remaining] = [inUse(), attachedArena()?.remaining ?? 0]
  await open(GATEWAYS, gateways)
  const each = (inUse() - before) / GATEWAYS
  const arenaBytes = (remaining - (attachedArena()?.remaining ?? 0)) / GATEWAYS
  for (const gateway of gateways) gateway.close()
  expect(each).toBeLessThan(LIMIT)
  expect(arenaBytes * 300).toBeLessThan(ARENA_BYTES)
})
