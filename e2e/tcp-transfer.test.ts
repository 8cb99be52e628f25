/**
 * Every byte of a large transfer arrives, in both directions, whatever the MTU and the IP version; and data too big for
 * a link behind the guest arrives in smaller segments.
 */
import { beforeAll, describe, expect, test } from "vitest"
import { testTransfers } from "./cases/tcp-transfer.ts"
import { testWith } from "./harness/machine.ts"
import { useNested } from "./harness/nested.ts"
import { usePasta } from "./harness/pasta.ts"
import { tcpClient, udpClient, useServer } from "./harness/servers.ts"
import { overBoth, useTopology } from "./harness/topology.ts"

const topology = useTopology()
useServer("tcp-server", topology)
useServer("udp-server", topology)

describe.each([65520, 1500])("with an MTU of %i", (mtu) => {
  testTransfers(usePasta(topology, { options: ["--config-net", "-m", String(mtu)] }), 200)
})

describe("behind a guest that routes to a link that takes less", () => {
  const running = usePasta(topology)
  const nested = useNested(() => running.guest, {}, 1300)
  // It announces its own link's MSS to the server, and only the guest knows that the path to it has a smaller MTU.
  beforeAll(() => nested.place.must(["ip", "link", "set", "eth0", "mtu", "1500"]))

  overBoth((family) => {
    testWith("cc")("a download is cut smaller once the guest reports that it is too big", async () => {
      const request = { scenario: "download", bytes: 5_000_000, seed: 61 }
      expect(await tcpClient(nested.place, family, request)).toMatchObject({ bytes: 5_000_000, intact: true })
    })

    test("large datagrams and answers to pings arrive, once the first one is reported to be too big", async () => {
      const pings = ["ping", "-n", "-c", "5", "-i", "0.2", "-W", "5", "-s", "1400", family.server]
      expect((await nested.place.run(pings)).status).toBe(0)
      const sizes = [1_200, 1_400, 9_000]
      expect(await udpClient(nested.place, family, { scenario: "answers", sizes })).toEqual({ intact: sizes })
    })
  })
})
