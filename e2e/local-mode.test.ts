/** A host without a network of its own: link-local addresses, and the host's loopback behind the gateway. */
import { expect, test } from "vitest"
import { throughLoopback } from "./harness/from-host.ts"
import { Pasta, runPasta } from "./harness/pasta.ts"
import { protocols } from "./harness/protocols.ts"
import { startServer, tcpClient } from "./harness/servers.ts"
import { ipv4, useTopology } from "./harness/topology.ts"

interface Link {
  readonly ifname: string
  readonly addr_info: readonly { readonly local: string; readonly scope: string }[]
}

const topology = useTopology({ versions: [] })

test("the guest is 169.254.2.1 behind 169.254.2.2, and has no global IPv6 address", async () => {
  const script = "ip -j addr show tap0; ip -j -4 route; ip -j -6 route show default"
  const { status, stdout } = await runPasta(topology.host, ["--config-net", "--", "sh", "-c", script])
  expect(status).toBe(0)
  const [links, routes4, routes6] = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line))
  const [link] = links as Link[]
  const addresses = link?.addr_info.filter(({ local }) => !local.startsWith("fe80:")).map(({ local }) => local)
  expect(addresses).toEqual(["169.254.2.1"])
  expect(routes4).toContainEqual(expect.objectContaining({ dst: "default", gateway: "169.254.2.2" }))
  expect(routes6).toContainEqual(expect.objectContaining({ dst: "default", gateway: "fe80::1" }))
})

test("the gateway is the host's loopback", async () => {
  const server = await startServer("tcp-server", topology.host, [{ address: "127.0.0.1" }, { address: "::1" }])
  const pasta = await Pasta.start(topology)
  for (const address of ["169.254.2.2", "fe80::1%tap0"]) {
    const request = { scenario: "who", address }
    const { answers } = await tcpClient<{ answers: { localAddress: string }[] }>(pasta.guest, ipv4, request)
    expect(["127.0.0.1", "::1"]).toContain(answers[0]?.localAddress)
  }
  await pasta.stop()
  await server.stop()
})

test("ports are reached over the host's loopback, IPv6 ones at the guest's link-local address", async () => {
  const ports = protocols.flatMap(({ fromHost, fromGuest, port }) => [fromHost, String(port), fromGuest, "none"])
  const pasta = await Pasta.start(topology, { options: ["--config-net", ...ports] })
  for (const { server, port, arrival } of protocols) {
    await startServer(server, pasta.guest, [{ address: "0.0.0.0" }, { address: "::" }])
    for (const { version, loopback } of throughLoopback) {
      const from = version === 4 ? "169.254.2.1" : expect.stringMatching(/^fe80:/)
      expect(await arrival(topology.host, loopback, port)).toEqual({ from, port })
    }
  }
  await pasta.stop()
})
