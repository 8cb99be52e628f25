/** Loss, delay, reordering and duplication inside the guest, between its own TCP and pasta. */
import { describe, expect } from "vitest"
import { impairments, scenarios } from "./impairments.ts"
import { testWith } from "./machine.ts"
import { useNested } from "./nested.ts"
import { usePasta } from "./pasta.ts"
import { tcpClient, udpClient, useServer } from "./servers.ts"
import { overBoth, useTopology } from "./topology.ts"

/** The tests, for one MTU of the guest. Each MTU has a file, so that they run in parallel. */
export function testImpairedInside(mtu: number): void {
  const topology = useTopology()
  useServer("tcp-server", topology)
  useServer("udp-server", topology)

  describe.each(impairments)("$name", ({ bytes: least, ...wire }) => {
    // The same number of frames, whatever their size.
    const bytes = mtu > 1500 ? least * 5 : least
    const running = usePasta(topology, { options: ["--config-net", "-m", String(mtu)] })
    const nested = useNested(() => running.guest, wire, mtu)

    overBoth((family) => {
      for (const scenario of scenarios) {
        const body = async () => {
          const result = await tcpClient(nested.place, family, { scenario, bytes, seed: 32 })
          expect(result).toMatchObject({ bytes, intact: true })
        }
        // Each mostly waits for the wire.
        testWith("cc")(`${scenario} is intact`, body, { concurrent: true })
      }

      testWith("cc")("datagrams that arrive are what was sent", async () => {
        const request = { scenario: "sizes", sizes: [0, 1, 1400], attempts: 20 }
        expect(await udpClient(nested.place, family, request)).toEqual({ intact: [0, 1, 1400] })
      })
    })

    testWith("cc")("the wire lost what it should", async () => {
      const counts = await nested.stop()
      expect(counts).toMatchObject({ overflowed: 0 })
      if (wire.loss !== undefined) expect(counts.lost).toBeGreaterThan(0)
      if (wire.reorder !== undefined) expect(counts.overtaken).toBeGreaterThan(0)
      if (wire.duplicate !== undefined) expect(counts.duplicated).toBeGreaterThan(0)
    })
  })
}
