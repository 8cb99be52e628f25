/** Slow ends: they get their data at their own pace, and nobody else waits for them. */
import { expect, test } from "vitest"
import type { Program } from "../harness/processes.ts"
import { lastLine, startTcpClient, tcpClient } from "../harness/servers.ts"
import { overBoth } from "../harness/topology.ts"
import type { Running } from "./running.ts"

interface Transfer {
  readonly bytes: number
  readonly intact: boolean
  readonly seconds: number
}

const FAST = { bytes: 50_000_000, seed: 21 }

/** `server` is the world's TCP server. */
export function testSlowEnds(running: Running, server: { readonly program: Program }): void {
  overBoth((family) => {
    const guest = () => running.guest
    const fast = (scenario: string) => tcpClient<Transfer>(guest(), family, { scenario, ...FAST })

    /** A transfer that must be done while `slow` is still under way, and take no much longer than alone. */
    async function fastBeside(scenario: string, slow: { readonly ended: boolean }): Promise<void> {
      const alone = Math.min((await fast(scenario)).seconds, (await fast(scenario)).seconds)
      const beside = Math.min((await fast(scenario)).seconds, (await fast(scenario)).seconds)
      expect(slow.ended).toBe(false)
      expect(beside).toBeLessThan(alone * 3 + 1)
    }

    test("a reader of 10 kB/s in the guest gets everything, and slows nobody down", async () => {
      const request = { scenario: "slow-download", bytes: 20_000_000, seed: 22, rate: 10_000 }
      const slow = startTcpClient(guest(), family, request, { keepInputOpen: true })
      await slow.printed(/started/)
      await fastBeside("download", slow)
      slow.write("now as fast as you can\n")
      const [, slowBytes] = await slow.printed(/"slowBytes":(\d+)/)
      expect(Number(slowBytes)).toBeLessThan(FAST.bytes / 10)
      expect(lastLine((await slow.result).stdout)).toEqual({ bytes: 20_000_000, intact: true })
    })

    test("a reader of 10 kB/s in the world gets everything, and slows nobody down", async () => {
      const request = { scenario: "slow-upload", bytes: 20_000_000, seed: 23, rate: 10_000 }
      const slow = startTcpClient(guest(), family, request)
      await slow.printed(/started/)
      await fastBeside("upload", slow)
      server.program.write("now as fast as you can\n")
      expect(lastLine((await slow.result).stdout)).toEqual({ bytes: 20_000_000, intact: true })
    })

    test("a writer of 10 kB/s in the world arrives, and slows nobody down", async () => {
      const request = { scenario: "slow-server", bytes: 20_000_000, seed: 24, rate: 10_000 }
      const slow = startTcpClient(guest(), family, request)
      await slow.printed(/started/)
      await fastBeside("download", slow)
      server.program.write("now as fast as you can\n")
      expect(lastLine((await slow.result).stdout)).toEqual({ bytes: 20_000_000, intact: true })
    })
  })
}
