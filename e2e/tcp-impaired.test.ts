/** Loss, delay, reordering and duplication, on the path outside and inside the guest. */
import { describe, expect } from "vitest"
import { testWith } from "./harness/machine.ts"
import { useNested } from "./harness/nested.ts"
import { usePasta } from "./harness/pasta.ts"
import { tcpClient, udpClient, useServer } from "./harness/servers.ts"
import { overBoth, useTopology } from "./harness/topology.ts"
import type { WireOptions } from "./harness/wire.ts"

interface Impairment extends WireOptions {
  readonly name: string
  /** Bytes of a transfer that takes seconds, not minutes, on such a path. */
  readonly bytes: number
}

const impairments: readonly Impairment[] = [
  { name: "loss of 1 %", seed: 101, loss: 0.01, delay: 1, bytes: 3_000_000 },
  { name: "a delay of 40 ms with jitter", seed: 102, delay: 40, jitter: 10, bytes: 5_000_000 },
  { name: "reordering of 5 %", seed: 103, delay: 2, reorder: 0.05, bytes: 2_000_000 },
  {
    name: "loss, reordering and duplication together",
    seed: 104,
    loss: 0.005,
    delay: 3,
    jitter: 2,
    reorder: 0.02,
    duplicate: 0.02,
    bytes: 2_000_000,
  },
]

type Scenario = "download" | "upload" | "echo"
const scenarios: readonly Scenario[] = ["download", "upload", "echo"]

describe.each(impairments)("$name outside", ({ bytes, ...wire }) => {
  const topology = useTopology({ wire })
  useServer("tcp-server.mjs", topology)
  const running = usePasta(topology)

  overBoth((family) => {
    for (const scenario of scenarios) {
      testWith("cc")(`${scenario} is intact`, async () => {
        const result = await tcpClient(running.guest, family, { scenario, bytes, seed: 31 })
        expect(result).toMatchObject({ bytes, intact: true })
      })
    }
  })

  testWith("cc")("the wire did what it was told", async () => {
    const counts = await topology.wire?.stop()
    expect(counts).toMatchObject({ overflowed: 0 })
    if (wire.loss !== undefined) expect(counts?.lost).toBeGreaterThan(10)
    if (wire.reorder !== undefined) expect(counts?.overtaken).toBeGreaterThan(10)
    if (wire.duplicate !== undefined) expect(counts?.duplicated).toBeGreaterThan(10)
  })
})

describe.each([65520, 1500])("inside, with an MTU of %i,", (mtu) => {
  const topology = useTopology()
  useServer("tcp-server.mjs", topology)
  useServer("udp-server.mjs", topology)

  describe.each(impairments)("$name", ({ bytes: least, ...wire }) => {
    // As many frames, whatever fits into one.
    const bytes = mtu > 1500 ? least * 5 : least
    const running = usePasta(topology, { options: ["--config-net", "-m", String(mtu)] })
    const nested = useNested(() => running.guest, wire, mtu)

    overBoth((family) => {
      for (const scenario of scenarios) {
        testWith("cc")(`${scenario} is intact`, async () => {
          const result = await tcpClient(nested.place, family, { scenario, bytes, seed: 32 })
          expect(result).toMatchObject({ bytes, intact: true })
        })
      }

      testWith("cc")("datagrams that arrive are what was sent", async () => {
        const request = { scenario: "sizes", sizes: [0, 1, 1400], attempts: 20 }
        expect(await udpClient(nested.place, family, request)).toEqual({ intact: [0, 1, 1400] })
      })
    })

    testWith("cc")("the wire did what it was told", async () => {
      const counts = await nested.stop()
      expect(counts).toMatchObject({ overflowed: 0 })
      if (wire.loss !== undefined) expect(counts.lost).toBeGreaterThan(0)
      if (wire.reorder !== undefined) expect(counts.overtaken).toBeGreaterThan(0)
      if (wire.duplicate !== undefined) expect(counts.duplicated).toBeGreaterThan(0)
    })
  })
})
