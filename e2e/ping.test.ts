/** Echo requests: every size, identifier and sequence, and the guest's hop limit. */
import { describe, expect, test } from "vitest"
import { testEcho } from "./cases/ping.ts"
import { testWith } from "./harness/machine.ts"
import { Pasta, runPasta, usePasta } from "./harness/pasta.ts"
import { eventually } from "./harness/processes.ts"
import { tcpClient, udpClient, useServer } from "./harness/servers.ts"
import { families, ipv4, useTopology } from "./harness/topology.ts"

const topology = useTopology({ router: true })

describe.each([65520, 1500])("with an MTU of %i", (mtu) => {
  testEcho(usePasta(topology, { options: ["--config-net", "-m", String(mtu)] }))
})

testWith("tcpdump")(
  "every correspondent, over both versions of IP, sees the identifier that the guest has chosen",
  async () => {
    const pasta = await Pasta.start(topology, { options: ["--config-net"] })
    const seen = topology.world.start(["tcpdump", "-l", "-nn", "-i", "any", "icmp or icmp6"])
    await seen.printed(/listening on/, "stderr")
    const correspondents = families.flatMap(({ server, other }) => [server, other])
    for (const address of correspondents) {
      await pasta.guest.must(["ping", "-n", "-c", "1", "-W", "5", "-e", "4711", address])
      await seen.printed(new RegExp(`> ${address}: ICMP6?,? echo request, id 4711,`))
    }
    await seen.stop()
    await pasta.stop()
  },
)

describe("where the host forbids ping sockets", () => {
  const forbidden = useTopology()
  useServer("tcp-server", forbidden)
  useServer("udp-server", forbidden)
  const forbid = () => forbidden.host.set({ "net.ipv4.ping_group_range": "1 0" })

  test("there is one warning, and everything else works", async () => {
    await forbid()
    const pasta = await Pasta.start(forbidden)
    for (const scenario of ["download", "upload"]) {
      const request = { scenario, bytes: 1_000_000, seed: 41 }
      expect(await tcpClient(pasta.guest, ipv4, request)).toMatchObject({ bytes: 1_000_000, intact: true })
      expect(await udpClient(pasta.guest, ipv4, { scenario: "sizes", sizes: [10] })).toEqual({ intact: [10] })
    }
    const { stderr } = await pasta.stop()
    const lines = stderr.split("\n").filter((line) => line !== "")
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain("ping_group_range")
  })

  testWith("ping")("pings are not answered, and do no harm", async () => {
    await forbid()
    const { status } = await runPasta(forbidden.host, [
      "--config-net",
      "--",
      "ping",
      "-c",
      "1",
      "-W",
      "1",
      "198.51.100.7",
    ])
    expect(status).toBe(1)
  })

  testWith("ping")("the gateway, which is the host's loopback, answers all the same", async () => {
    await forbid()
    const pasta = await Pasta.start(forbidden)
    for (const { gateway } of families) await pasta.guest.must(["ping", "-n", "-c", "1", gateway])
    await pasta.stop()
  })

  testWith("ping")("a permission that comes later is noticed", async () => {
    await forbid()
    const pasta = await Pasta.start(forbidden)
    await pasta.program.printed(/ping_group_range/, "stderr")
    await forbidden.host.set({ "net.ipv4.ping_group_range": "0 2147483647" })
    for (const { server } of families) {
      await eventually(`an answer of ${server}`, async () => {
        const { status } = await pasta.guest.run(["ping", "-n", "-c", "1", "-W", "1", server])
        return status === 0 ? true : undefined
      })
    }
    await pasta.stop()
  })
})
