/** Loss, delay, reordering and duplication on the path outside, between the host and the world. */
import { describe, expect } from "vitest"
import { impairments, scenarios } from "./harness/impairments.ts"
import { testWith } from "./harness/machine.ts"
import { usePasta } from "./harness/pasta.ts"
import { tcpClient, useServer } from "./harness/servers.ts"
import { overBoth, useTopology } from "./harness/topology.ts"

describe.each(impairments)("$name outside", ({ bytes, ...wire }) => {
  const topology = useTopology({ wire })
  useServer("tcp-server", topology)
  const running = usePasta(topology)

  overBoth((family) => {
    for (const scenario of scenarios) {
      const body = async () => {
        const result = await tcpClient(running.guest, family, { scenario, bytes, seed: 31 })
        expect(result).toMatchObject({ bytes, intact: true })
      }
      // Each mostly waits for the wire.
      testWith("cc")(`${scenario} is intact`, body, { concurrent: true })
    }
  })

  testWith("cc")("the wire lost what it should", async () => {
    const counts = await topology.wire?.stop()
    expect(counts).toMatchObject({ overflowed: 0 })
    if (wire.loss !== undefined) expect(counts?.lost).toBeGreaterThan(10)
    if (wire.reorder !== undefined) expect(counts?.overtaken).toBeGreaterThan(10)
    if (wire.duplicate !== undefined) expect(counts?.duplicated).toBeGreaterThan(10)
  })
})
