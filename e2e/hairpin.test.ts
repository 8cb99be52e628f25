/** A guest that reaches its own forwarded ports through the host (RFC 4787, REQ-9; RFC 5382, REQ-8). */
import { describe, expect, test } from "vitest"
import { second } from "./harness/from-host.ts"
import { usePasta } from "./harness/pasta.ts"
import { atPorts, protocols } from "./harness/protocols.ts"
import { useServerIn } from "./harness/servers.ts"
import { families, overBoth, useTopology } from "./harness/topology.ts"

const topology = useTopology()
const PORT = 5001
const options = ["--config-net", "-t", `7700:${PORT}`, "-u", `7700:${PORT}`]

describe("with an address of its own: at the host's address", () => {
  const addresses = families.flatMap(({ version }) => ["-a", second[version]])
  const running = usePasta(topology, { options: [...options, ...addresses] })
  for (const { server } of protocols) useServerIn(server, () => running.guest, atPorts([PORT]))

  overBoth((family) => {
    test.each(protocols)("$name", async ({ arrival }) => {
      expect(await arrival(running.guest, family.host, 7700)).toEqual({ from: family.host, port: PORT })
    })
  })
})

describe("with the host's address: at the address of the host's loopback", () => {
  const running = usePasta(topology, { options })
  for (const { server } of protocols) useServerIn(server, () => running.guest, atPorts([PORT]))

  overBoth((family) => {
    test.each(protocols)("$name", async ({ arrival }) => {
      expect(await arrival(running.guest, family.gateway, 7700)).toMatchObject({ port: PORT })
    })
  })
})
