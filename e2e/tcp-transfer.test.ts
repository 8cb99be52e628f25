/** Every byte of a large transfer arrives, in both directions, whatever the MTU and the IP version. */
import { describe } from "vitest"
import { testTransfers } from "./cases/tcp-transfer.ts"
import { usePasta } from "./harness/pasta.ts"
import { useServer } from "./harness/servers.ts"
import { useTopology } from "./harness/topology.ts"

const topology = useTopology()
useServer("tcp-server.mjs", topology)

describe.each([65520, 1500])("with an MTU of %i", (mtu) => {
  testTransfers(usePasta(topology, { options: ["--config-net", "-m", String(mtu)] }), 200)
})
