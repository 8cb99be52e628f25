/** How connections end: in halves, by reset, because a server dies, and because an end vanishes silently. */
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { testEndings } from "./cases/tcp-ending.ts"
import { reachable } from "./harness/machine.ts"
import { usePasta } from "./harness/pasta.ts"
import { TCP_PORT, useServer } from "./harness/servers.ts"
import { families, useTopology } from "./harness/topology.ts"

const topology = useTopology()
const pasta = usePasta(topology)
const server = useServer("tcp-server", topology)
testEndings(pasta, () => topology.world, server)

describe("a correspondent that vanishes", () => {
  const program = reachable(join(import.meta.dirname, "programs/tcp-keep-alive.py"))

  /** The errors that guests with idle connections get, over both IP versions, once the world no longer answers. */
  async function heard(...options: string[]): Promise<string[]> {
    const clients = families.map((family) =>
      pasta.guest.start(["python3", program, family.server, String(TCP_PORT), ...options]),
    )
    await Promise.all(clients.map((client) => client.printed(/connected/)))
    const routes = families.map((family) => `blackhole ${family.host}`)
    await topology.world.configure(routes.map((route) => `route add ${route}`))
    try {
      const results = await Promise.all(clients.map((client) => client.result))
      return results.map(({ stdout }) => stdout.trim().split("\n").at(-1) ?? "")
    } finally {
      await topology.world.configure(routes.map((route) => `route del ${route}`))
    }
  }

  test("is missed by a guest that asks after it, though the host would for two hours not", async () => {
    expect(await heard("ask")).toEqual(["ETIMEDOUT", "ETIMEDOUT"])
  })

  test("is missed by the host at its own times, and the guest hears of it", async () => {
    const times = ["time", "intvl", "probes"].map((name) => `net.ipv4.tcp_keepalive_${name}`)
    const before = await Promise.all(times.map((name) => topology.host.must(["sysctl", "-n", name])))
    await topology.host.set(Object.fromEntries(times.map((name) => [name, 1])))
    try {
      expect(await heard()).toEqual(["ECONNRESET", "ECONNRESET"])
    } finally {
      await topology.host.set(Object.fromEntries(times.map((name, index) => [name, before[index].trim()])))
    }
  })
})
