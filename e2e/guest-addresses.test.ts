/** A guest may use as many addresses as it likes, assigned by us or not, all at the same time. */
import { beforeAll, describe, expect, test } from "vitest"
import { testWith } from "./harness/machine.ts"
import { Pasta, usePasta } from "./harness/pasta.ts"
import { startTcpClient, tcpClient, udpClient, useServer } from "./harness/servers.ts"
import { ipv4, overBoth, useTopology } from "./harness/topology.ts"

const topology = useTopology()
useServer("tcp-server", topology)
useServer("udp-server", topology)

describe("100 addresses of its own at once", () => {
  const running = usePasta(topology)
  const numbers = Array.from({ length: 100 }, (_, i) => i + 1)
  const addresses = {
    4: numbers.map((n) => `203.0.113.${n}`),
    6: numbers.map((n) => `2001:db8:5::${n.toString(16)}`),
  }

  beforeAll(async () => {
    const lines = [
      ...addresses[4].map((address) => `addr add ${address}/32 dev eth0`),
      ...addresses[6].map((address) => `addr add ${address}/128 dev eth0 nodad`),
    ]
    await running.guest.must(["ip", "-batch", "-"], { input: `${lines.join("\n")}\n` })
  })

  overBoth((family) => {
    const from = addresses[family.version]

    test("a TCP connection from each", async () => {
      const request = { scenario: "from-addresses", from, bytes: 50_000 }
      expect(await tcpClient(running.guest, family, request)).toEqual({ intact: 100 })
    })

    test("a UDP exchange from each", async () => {
      const request = { scenario: "from-addresses", from }
      expect(await udpClient(running.guest, family, request)).toEqual({ answered: 100 })
    })

    testWith("ping")("pings from several of them with the same identifier get their own answers", async () => {
      const ping = (address: string) =>
        running.guest.run(["ping", "-n", "-c", "3", "-i", "0.2", "-W", "5", "-e", "77", "-I", address, family.server])
      const results = await Promise.all(from.slice(0, 10).map(ping))
      for (const { stdout } of results) expect(stdout).toContain("3 received, 0% packet loss")
    })
  })
})

test("flows of all protocols fill one table exactly, and what is beyond is refused and counted", async () => {
  const capacity = 64
  const pasta = await Pasta.start(topology, {
    options: ["--config-net", "-d"],
    environment: { DEMIFLOW_FLOW_CAPACITY: String(capacity) },
  })
  const fill = async (connections: number) => {
    const request = { scenario: "hold", connections, name: "capacity" }
    const holder = startTcpClient(pasta.guest, ipv4, request, { keepInputOpen: true })
    await holder.printed(/"held"/)
    return holder
  }
  // Half of the table for UDP, half for TCP: all fit.
  expect(await udpClient(pasta.guest, ipv4, { scenario: "many", sockets: capacity / 2 })).toEqual({
    answered: capacity / 2,
  })
  const holder = await fill(capacity / 2)

  const beyond = { scenario: "attempt", timeout: 2500 }
  expect(await tcpClient(pasta.guest, ipv4, beyond)).not.toMatchObject({ outcome: "connected" })
  expect(await udpClient(pasta.guest, ipv4, { scenario: "many", sockets: 1 })).toEqual({ answered: 0 })

  // Flows that end make room again.
  holder.closeInput()
  await holder.result
  const again = await fill(capacity / 4)
  again.closeInput()
  await again.result

  const { stderr } = await pasta.stop()
  expect(stderr).toMatch(/\bdropped: [1-9]\d* \([^)]*(full|capacity)[^)]*\)$/m)
})
