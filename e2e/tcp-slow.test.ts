/** Slow ends: they get their data at their own pace, and no other connection waits for them. */
import { expect, test } from "vitest"
import { testSlowEnds } from "./cases/tcp-slow.ts"
import { receiveBufferDrops } from "./harness/inspection.ts"
import { usePasta } from "./harness/pasta.ts"
import { useServer } from "./harness/servers.ts"
import { useTopology } from "./harness/topology.ts"

const topology = useTopology()
const server = useServer("tcp-server", topology)
const running = usePasta(topology)
testSlowEnds(running, server)

test("nobody who stopped reading had anything dropped, so that it would have to be waited for", async () => {
  const places = [topology.host, running.guest, topology.world]
  expect(await Promise.all(places.map(receiveBufferDrops))).toEqual([0, 0, 0])
})
