/** Slow ends: they get their data at their own pace, and no other connection waits for them. */
import { expect, test } from "vitest"
import type { Program } from "../harness/processes.ts"
import { lastLine, startTcpClient, tcpClient } from "../harness/servers.ts"
import { overBoth } from "../harness/topology.ts"
import type { Running } from "./running.ts"

const FAST = { bytes: 50_000_000, seed: 21 }

/** `server` is the world's TCP server. */
export function testSlowEnds(running: Running, server: { readonly program: Program }): void {
  overBoth((family) => {
    const guest = () => running.guest

    /** A transfer that must finish while `slow` still runs, which would take half an hour at its pace. */
    async function fastBeside(scenario: string, slow: { readonly ended: boolean }): Promise<void> {
      const result = await tcpClient(guest(), family, { scenario, ...FAST })
      expect(result).toMatchObject({ bytes: FAST.bytes, intact: true })
      expect(slow.ended).toBe(false)
    }

    test("a reader of 10 kB/s in the guest gets everything, and nobody waits for it", async () => {
      const request = { scenario: "slow-download", bytes: 20_000_000, seed: 22, rate: 10_000 }
      const slow = startTcpClient(guest(), family, request, { keepInputOpen: true })
      await slow.printed(/started/)
      await fastBeside("download", slow)
      slow.write("now as fast as you can\n")
      const [, slowBytes] = await slow.printed(/"slowBytes":(\d+)/)
      expect(Number(slowBytes)).toBeLessThan(FAST.bytes / 10)
      expect(lastLine((await slow.result).stdout)).toEqual({ bytes: 20_000_000, intact: true })
    })

    test("a reader of 10 kB/s in the world gets everything, and nobody waits for it", async () => {
      const request = { scenario: "slow-upload", bytes: 20_000_000, seed: 23, rate: 10_000 }
      const slow = startTcpClient(guest(), family, request)
      await slow.printed(/started/)
      await fastBeside("upload", slow)
      server.program.write("now as fast as you can\n")
      expect(lastLine((await slow.result).stdout)).toEqual({ bytes: 20_000_000, intact: true })
    })

    test("a writer of 10 kB/s in the world arrives, and nobody waits for it", async () => {
      const request = { scenario: "slow-server", bytes: 20_000_000, seed: 24, rate: 10_000 }
      const slow = startTcpClient(guest(), family, request)
      await slow.printed(/started/)
      await fastBeside("download", slow)
      server.program.write("now as fast as you can\n")
      expect(lastLine((await slow.result).stdout)).toEqual({ bytes: 20_000_000, intact: true })
    })
  })
}
