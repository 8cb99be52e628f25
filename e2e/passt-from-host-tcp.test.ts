/** Connections through forwarded ports to servers in the guest: whole transfers, endings, and many at once. */
import { describe, expect, test } from "vitest"
import { testEndings } from "./cases/tcp-ending.ts"
import { testManyConnections } from "./cases/tcp-many.ts"
import { testTransfers } from "./cases/tcp-transfer.ts"
import { throughHost, throughLoopback } from "./harness/from-host.ts"
import { CLOSED_PORT, startTcpClient, TCP_PORT, tcpClient, useServerIn } from "./harness/servers.ts"
import { usePasst } from "./harness/stand-in.ts"
import { overBoth, useTopology } from "./harness/topology.ts"

const topology = useTopology()
const ports = [TCP_PORT, TCP_PORT + 100, CLOSED_PORT].join(",")

describe.each([65520, 1500])("with an MTU of %i", (mtu) => {
  const running = usePasst(topology, { mtu, options: ["-t", ports] })
  const server = useServerIn("tcp-server", () => running.guest)
  const fromTheWorld = {
    guest: topology.world,
    families: throughHost,
    get dataPath() {
      return running.dataPath
    },
  }

  describe("from the world", () => {
    testTransfers(fromTheWorld, 40)
    if (mtu === 1500) return
    testEndings(fromTheWorld, () => running.guest, server)
    testManyConnections(fromTheWorld)
  })

  describe("from the host's loopback", () => {
    testTransfers({ guest: topology.host, families: throughLoopback }, 40)
  })

  overBoth((family) => {
    test("a service that is not there resets the connection", async () => {
      const request = { scenario: "read", address: family.host, port: CLOSED_PORT }
      expect(await tcpClient(topology.world, family, request)).toEqual({ bytes: 0, how: "ECONNRESET" })
    })
  })
})

describe("a guest that goes", () => {
  const running = usePasst(topology, { options: ["-t", String(TCP_PORT)] })
  useServerIn("tcp-server", () => running.guest)

  test("leaves the ports to the next one", async () => {
    const hold = { scenario: "hold", connections: 3, name: "held" }
    const clients = throughHost.map((family) => startTcpClient(topology.world, family, hold, { keepInputOpen: true }))
    await Promise.all(clients.map((client) => client.printed(/held/)))
    await running.connection.standIn.stop()
    await running.connection.reconnect()
    for (const family of throughHost) {
      const request = { scenario: "download", bytes: 1_000_000, seed: 51 }
      expect(await tcpClient(topology.world, family, request)).toMatchObject({ intact: true })
    }
    for (const client of clients) await client.stop()
  })
})
