/** Many connections: at once, in quick succession, and their leftovers. */
import { expect, test } from "vitest"
import { descriptors, residentMemory } from "../harness/inspection.ts"
import { eventually } from "../harness/processes.ts"
import { tcpClient } from "../harness/servers.ts"
import { ipv4, ipv6, overBoth } from "../harness/topology.ts"
import type { RunningProcess } from "./running.ts"

/** Against the world's TCP server. */
export function testManyConnections(running: RunningProcess): void {
  const atOnce = { scenario: "many", connections: 500, bytes: 20_000, seed: 3 }
  const inSuccession = { scenario: "short", connections: 2000, atOnce: 50 }

  overBoth((family) => {
    test("500 connections at once all carry their data", async () => {
      expect(await tcpClient(running.guest, family, atOnce)).toEqual({ connected: 500, intact: 500 })
    })

    test("2,000 short connections all succeed", async () => {
      expect(await tcpClient(running.guest, family, inSuccession)).toEqual({ intact: 2000, errors: {} })
    })
  }, running.families)

  test("descriptors and memory are back to where they were afterwards", async () => {
    const { dataPath } = running
    const [one = ipv4, other = ipv6] = running.families ?? []
    const sockets = () => descriptors(dataPath).filter((target) => target.startsWith("socket:")).length
    const settled = (before: number) =>
      eventually("the sockets of ended connections are closed", () => (sockets() <= before ? true : undefined))
    // Once to warm up: pools fill and code is compiled, and that memory stays.
    const before = sockets()
    await tcpClient(running.guest, one, atOnce)
    await settled(before + 40)
    const memory = residentMemory(dataPath)
    const descriptorsBefore = descriptors(dataPath).length
    for (let round = 0; round < 3; round++) {
      await tcpClient(running.guest, one, atOnce)
      await tcpClient(running.guest, other, inSuccession)
    }
    await eventually("as many descriptors are open as before", () =>
      descriptors(dataPath).length <= descriptorsBefore + 10 ? true : undefined,
    )
    expect(residentMemory(dataPath)).toBeLessThan(memory + 64 * 1024)
  })
}
