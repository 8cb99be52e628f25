/** Traffic of every kind through passt, for a guest that shares its memory: what the stream socket carries too. */
import { beforeAll, describe } from "vitest"
import { testMapping } from "./cases/mapping.ts"
import { testEcho } from "./cases/ping.ts"
import { giveUpEarly, testVerdicts } from "./cases/tcp-connect.ts"
import { testEndings } from "./cases/tcp-ending.ts"
import { testManyConnections } from "./cases/tcp-many.ts"
import { testSlowEnds } from "./cases/tcp-slow.ts"
import { testTransfers } from "./cases/tcp-transfer.ts"
import { testDatagrams } from "./cases/udp.ts"
import { throughHost } from "./harness/from-host.ts"
import { CLOSED_PORT, TCP_PORT, useServer, useServerIn } from "./harness/servers.ts"
import { Connection, usePasst } from "./harness/stand-in.ts"
import { useTopology } from "./harness/topology.ts"

const vhostUser: readonly string[] = []

describe("from the guest", () => {
  const topology = useTopology()
  const server = useServer("tcp-server", topology)
  useServer("udp-server", topology)
  beforeAll(() => topology.host.set(giveUpEarly))

  describe("with an MTU of 1500", () => {
    const running = usePasst(topology, { mtu: 1500, vhostUser })
    testTransfers(running, 200)
    testDatagrams(running)
  })

  describe("with an MTU of 65520", () => {
    const running = usePasst(topology, { mtu: 65520, vhostUser })
    testTransfers(running, 200)
    testDatagrams(running)
    testVerdicts(running)
    testEndings(running, () => topology.world, server)
    testManyConnections(running)
    testSlowEnds(running, server)
  })
})

describe("from the world", () => {
  const topology = useTopology()
  const running = usePasst(topology, {
    vhostUser,
    options: ["-t", `${TCP_PORT},${TCP_PORT + 100},${CLOSED_PORT}`],
  })
  const server = useServerIn("tcp-server", () => running.guest)
  const fromTheWorld = {
    guest: topology.world,
    families: throughHost,
    get dataPath() {
      return running.dataPath
    },
  }
  testTransfers(fromTheWorld, 40)
  testEndings(fromTheWorld, () => running.guest, server)
  testManyConnections(fromTheWorld)
})

describe("pings", () => {
  const topology = useTopology({ router: true })
  testEcho(usePasst(topology, { vhostUser }))
})

describe("addresses of the host", () => {
  const topology = useTopology()

  testMapping(topology, async (options, body) => {
    const connection = await Connection.start(topology, { options, vhostUser })
    try {
      await body(connection.guest)
    } finally {
      await connection.stop()
    }
  })
})
