/** Many connections: at once, in quick succession, and their leftovers. */
import { testManyConnections } from "./cases/tcp-many.ts"
import { usePasta } from "./harness/pasta.ts"
import { useServer } from "./harness/servers.ts"
import { useTopology } from "./harness/topology.ts"

const topology = useTopology()
useServer("tcp-server", topology)
testManyConnections(usePasta(topology))
