/** Datagrams of every size both ways, and who may answer, whatever the MTU. */
import { describe } from "vitest"
import { testDatagrams } from "./cases/udp.ts"
import { usePasta } from "./harness/pasta.ts"
import { useServer } from "./harness/servers.ts"
import { useTopology } from "./harness/topology.ts"

const topology = useTopology()
useServer("udp-server.mjs", topology)

describe.each([65520, 1500])("with an MTU of %i", (mtu) => {
  testDatagrams(usePasta(topology, { options: ["--config-net", "-m", String(mtu)] }))
})
