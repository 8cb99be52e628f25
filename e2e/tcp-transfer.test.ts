/** Every byte of a large transfer arrives, in both directions, whatever the MTU and the IP version. */
import { describe, expect, test } from "vitest"
import { usePasta } from "./harness/pasta.ts"
import { tcpClient, useServer } from "./harness/servers.ts"
import { overBoth, useTopology } from "./harness/topology.ts"

const MEGABYTE = 1_000_000

interface Transfer {
  readonly bytes: number
  readonly intact: boolean
  readonly seconds: number
}

const topology = useTopology()
useServer("tcp-server.mjs", topology)

describe.each([65520, 1500])("with an MTU of %i", (mtu) => {
  const running = usePasta(topology, { options: ["--config-net", "-m", String(mtu)] })

  overBoth((family) => {
    test.each(["download", "upload"])("%s of 200 MB is intact", async (scenario) => {
      const bytes = 200 * MEGABYTE
      const { intact, ...result } = await tcpClient<Transfer>(running.guest, family, { scenario, bytes, seed: 7 })
      expect(result.bytes).toBe(bytes)
      expect(intact).toBe(true)
    })

    test("both directions of one connection at the same time are intact", async () => {
      const bytes = 50 * MEGABYTE
      const result = await tcpClient<Transfer>(running.guest, family, { scenario: "echo", bytes, seed: 8 })
      expect(result).toEqual({ bytes, intact: true })
    })
  })
})
