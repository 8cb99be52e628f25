/** Slow ends: they get their data at their own pace, and nobody else waits for them. */
import { testSlowEnds } from "./cases/tcp-slow.ts"
import { usePasta } from "./harness/pasta.ts"
import { useServer } from "./harness/servers.ts"
import { useTopology } from "./harness/topology.ts"

const topology = useTopology()
const server = useServer("tcp-server.mjs", topology)
testSlowEnds(usePasta(topology), server)
