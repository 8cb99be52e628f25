/** The host's verdict on a connection is the guest's verdict: refused, unreachable, timed out. */
import { expect, test } from "vitest"
import { CLOSED_PORT, tcpClient } from "../harness/servers.ts"
import { overBoth } from "../harness/topology.ts"
import type { Running } from "./running.ts"

/** RFC 9293 leaves a choice: a reset, or an ICMP error that the guest maps to its own code. */
const UNREACHABLE = ["EHOSTUNREACH", "ENETUNREACH", "EACCES", "ECONNREFUSED"]

/**
 * With a host that gives up after one retransmission of a SYN: see `giveUpEarly`. A guest without an answer retries for
 * two minutes by itself, which is longer than the client waits for a result.
 */
export function testVerdicts(running: Running): void {
  overBoth((family) => {
    const attempt = (address: string, port = CLOSED_PORT) =>
      tcpClient<{ outcome: string }>(running.guest, family, { scenario: "attempt", address, port })

    test("a refused connection is refused", async () => {
      expect(await attempt(family.server)).toEqual({ outcome: "ECONNREFUSED" })
    })

    test.each([
      { where: "the world", address: family.unreachable },
      { where: "a filter in the world", address: family.prohibited },
      { where: "the host's own routes", address: family.unroutable },
    ])("what is unreachable according to $where is unreachable", async ({ address }) => {
      const { outcome } = await attempt(address)
      expect(UNREACHABLE).toContain(outcome)
    })

    test("a connection that the host gives up on fails, long before the guest would give up", async () => {
      const { outcome } = await attempt(family.silent)
      expect([...UNREACHABLE, "ETIMEDOUT", "ECONNRESET"]).toContain(outcome)
    })
  })
}

/** One retransmission of a SYN instead of six: the host gives up after three seconds, not two minutes. */
export const giveUpEarly: Readonly<Record<string, number>> = { "net.ipv4.tcp_syn_retries": 1 }
