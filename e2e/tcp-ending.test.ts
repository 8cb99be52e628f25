/** How connections end: in halves, by reset, and because a server dies. */
import { testEndings } from "./cases/tcp-ending.ts"
import { usePasta } from "./harness/pasta.ts"
import { useServer } from "./harness/servers.ts"
import { useTopology } from "./harness/topology.ts"

const topology = useTopology()
const server = useServer("tcp-server.mjs", topology)
testEndings(usePasta(topology), () => topology.world, server)
