/** Echo requests: every size, identifier and sequence, and as many hops as the guest asks for. */
import { describe, expect, test } from "vitest"
import { testWith } from "./harness/machine.ts"
import { Pasta, runPasta, usePasta } from "./harness/pasta.ts"
import { tcpClient, udpClient, useServer } from "./harness/servers.ts"
import { ipv4, overBoth, useTopology } from "./harness/topology.ts"

const topology = useTopology({ router: true })

describe.each([65520, 1500])("with an MTU of %i", (mtu) => {
  const running = usePasta(topology, { options: ["--config-net", "-m", String(mtu)] })

  overBoth((family) => {
    const ping = (...argv: string[]) =>
      running.guest.run(["ping", "-n", `-${family.version}`, "-W", "5", ...argv, family.server])

    testWith("ping")("every size up to 65,000 bytes is answered with what was sent", async () => {
      for (const size of [0, 1, 15, 56, 1452, 1472, 1473, 8000, 65_000]) {
        // A pattern other than ping's own; ping says so when an answer differs ("wrong data byte").
        const { stdout, status } = await ping("-c", "1", "-s", String(size), "-p", "c3a5")
        expect({ size, status }).toEqual({ size, status: 0 })
        expect(stdout).toContain(`${size + 8} bytes from ${family.server}`)
        expect(stdout).not.toContain("wrong data")
      }
    })

    testWith("ping")("sequence numbers arrive in order, with 20 pings a second", async () => {
      const { stdout } = await ping("-c", "20", "-i", "0.05")
      const sequence = [...stdout.matchAll(/icmp_seq=(\d+)/g)].map(([, number]) => Number(number))
      expect(sequence).toEqual(Array.from({ length: 20 }, (_, i) => i + 1))
    })

    testWith("ping")("several pings at once, each with an identifier of its own, get their own answers", async () => {
      const identifiers = [1, 2, 4711, 65_535]
      const results = await Promise.all(identifiers.map((id) => ping("-c", "3", "-i", "0.1", "-e", String(id))))
      for (const { stdout } of results) expect(stdout).toContain("3 received, 0% packet loss")
    })

    testWith("ping")("the guest's hop limit is honoured, and the router's answer arrives", async () => {
      const expired = await ping("-c", "1", "-t", "1")
      expect(expired.status).toBe(1)
      expect(expired.stdout).toMatch(/From \S+ icmp_seq=1 Time (to live )?exceeded/)
      expect(expired.stdout).toContain(`From ${family.gateway} `)
      expect((await ping("-c", "1", "-t", "2")).status).toBe(0)
    })

    testWith("ping")("what is unreachable for the host is reported to the guest", async () => {
      const { stdout, status } = await running.guest.run(["ping", "-n", "-c", "1", "-W", "5", family.unreachable])
      expect(status).toBe(1)
      expect(stdout).toContain("nreachable")
    })

    testWith("traceroute")("traceroute with echo requests shows the router and the goal", async () => {
      expect(await hops(["-I"])).toEqual([family.gateway, family.server])
    })

    testWith("traceroute")("traceroute with datagrams shows the router and the goal", async () => {
      expect(await hops([])).toEqual([family.gateway, family.server])
    })

    async function hops(options: readonly string[]): Promise<readonly string[]> {
      const argv = [
        "traceroute",
        `-${family.version}`,
        "-n",
        "-q",
        "1",
        "-w",
        "5",
        "-m",
        "5",
        ...options,
        family.server,
      ]
      const output = await running.guest.must(argv)
      return [...output.matchAll(/^ *\d+ +(\S+)/gm)].map(([, hop = ""]) => hop)
    }
  })
})

describe("where the host forbids ping sockets", () => {
  const forbidden = useTopology()
  useServer("tcp-server.mjs", forbidden)
  useServer("udp-server.mjs", forbidden)
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
})
