/** TCP through passt: transfers, verdicts, endings, many connections, slow ends. */
import { beforeAll, describe } from "vitest"
import { giveUpEarly, testVerdicts } from "./cases/tcp-connect.ts"
import { testEndings } from "./cases/tcp-ending.ts"
import { testManyConnections } from "./cases/tcp-many.ts"
import { testSlowEnds } from "./cases/tcp-slow.ts"
import { testTransfers } from "./cases/tcp-transfer.ts"
import { useServer } from "./harness/servers.ts"
import { usePasst } from "./harness/stand-in.ts"
import { useTopology } from "./harness/topology.ts"

const topology = useTopology()
const server = useServer("tcp-server", topology)
beforeAll(() => topology.host.set(giveUpEarly))

describe("with an MTU of 1500", () => {
  testTransfers(usePasst(topology, { mtu: 1500 }), 100)
})

describe("with an MTU of 65520", () => {
  const running = usePasst(topology, { mtu: 65520 })
  testTransfers(running, 200)
  testVerdicts(running)
  testEndings(running, () => topology.world, server)
  testManyConnections(running)
  testSlowEnds(running, server)
})
