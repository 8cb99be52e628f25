/** Every byte of a large transfer arrives, in both directions, whatever the MTU and the IP version. */
import { beforeAll, describe, expect } from "vitest"
import { testTransfers } from "./cases/tcp-transfer.ts"
import { testWith } from "./harness/machine.ts"
import { useNested } from "./harness/nested.ts"
import { usePasta } from "./harness/pasta.ts"
import { tcpClient, useServer } from "./harness/servers.ts"
import { overBoth, useTopology } from "./harness/topology.ts"

const topology = useTopology()
useServer("tcp-server", topology)

describe.each([65520, 1500])("with an MTU of %i", (mtu) => {
  testTransfers(usePasta(topology, { options: ["--config-net", "-m", String(mtu)] }), 200)
})

describe("behind a guest that routes to a link that takes less", () => {
  const running = usePasta(topology)
  const nested = useNested(() => running.guest, {}, 1300)
  // It tells the server of its own link, and only the guest knows that the way there is narrower.
  beforeAll(() => nested.place.must(["ip", "link", "set", "eth0", "mtu", "1500"]))

  overBoth((family) => {
    testWith("cc")("a download is cut smaller once the guest reports that it is too big", async () => {
      const request = { scenario: "download", bytes: 5_000_000, seed: 61 }
      expect(await tcpClient(nested.place, family, request)).toMatchObject({ bytes: 5_000_000, intact: true })
    })
  })
})
