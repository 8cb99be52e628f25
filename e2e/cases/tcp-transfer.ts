/** Every byte of a large transfer arrives, in both directions. */
import { expect, test } from "vitest"
import { SLOWNESS } from "../harness/limits.ts"
import { tcpClient } from "../harness/servers.ts"
import { overBoth } from "../harness/topology.ts"
import type { Running } from "./running.ts"

const MEGABYTE = 1_000_000

/** Against the world's TCP server. `amount` in megabytes, on a machine that isn't slow. */
export function testTransfers(running: Running, amount: number): void {
  const megabytes = Math.ceil(amount / SLOWNESS)
  overBoth((family) => {
    test.each(["download", "upload"])(`%s of ${megabytes} MB is intact`, async (scenario) => {
      const bytes = megabytes * MEGABYTE
      const result = await tcpClient(running.guest, family, { scenario, bytes, seed: 7 })
      expect(result).toEqual({ bytes, intact: true })
    })

    test("both directions of one connection at the same time are intact", async () => {
      const bytes = (megabytes / 4) * MEGABYTE
      const result = await tcpClient(running.guest, family, { scenario: "echo", bytes, seed: 8 })
      expect(result).toEqual({ bytes, intact: true })
    })
  }, running.families)
}
