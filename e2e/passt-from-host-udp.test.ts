/** Datagrams through forwarded ports to servers in the guest, and the source that these see. */
import { describe, expect, test } from "vitest"
import { throughHost, throughLoopback } from "./harness/from-host.ts"
import { CLOSED_PORT, UDP_PORT, udpClient, useServerIn } from "./harness/servers.ts"
import { usePasst } from "./harness/stand-in.ts"
import { overBoth, useTopology } from "./harness/topology.ts"

const topology = useTopology()
const sizes = [0, 1, 1400, 1472, 1473, 9000, 65_507]

describe.each([65520, 1500])("with an MTU of %i", (mtu) => {
  const running = usePasst(topology, { mtu, options: ["-u", `${UDP_PORT},${CLOSED_PORT}`] })
  useServerIn("udp-server", () => running.guest)

  describe.each([
    { where: "the world", place: () => topology.world, families: throughHost },
    { where: "the host's loopback", place: () => topology.host, families: throughLoopback },
    { where: "the host's own address", place: () => topology.host, families: throughHost },
  ])("from $where", ({ place, families }) => {
    overBoth((family) => {
      test("datagrams of all sizes come back as they went", async () => {
        expect(await udpClient(place(), family, { scenario: "sizes", sizes })).toEqual({ intact: sizes })
      })

      test("100 sockets at once all get their own answer", async () => {
        expect(await udpClient(place(), family, { scenario: "many", sockets: 100 })).toEqual({ answered: 100 })
      })
    }, families)
  })

  overBoth((family) => {
    test("a service that is not there harms nobody", async () => {
      const request = { scenario: "sizes", sizes: [10], attempts: 1, port: CLOSED_PORT }
      expect(await udpClient(topology.world, family, request)).toEqual({ intact: [] })
      expect(await udpClient(topology.world, family, { scenario: "sizes", sizes: [100] })).toEqual({ intact: [100] })
    })
  }, throughHost)
})
