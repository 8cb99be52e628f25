/** Traffic other than TCP, and mapped addresses: datagrams, pings, names and addresses of the host, through passt. */
import { describe, expect } from "vitest"
import { testMapping } from "./cases/mapping.ts"
import { dig, testResolution, useNameServer } from "./cases/names.ts"
import { testEcho } from "./cases/ping.ts"
import { testDatagrams } from "./cases/udp.ts"
import { testWith } from "./harness/machine.ts"
import { useServer } from "./harness/servers.ts"
import { Connection, usePasst } from "./harness/stand-in.ts"
import { overBoth, useTopology } from "./harness/topology.ts"

describe("datagrams and names", () => {
  const topology = useTopology()
  useServer("udp-server", topology)
  useNameServer(topology)

  describe.each([65520, 1500])("with an MTU of %i", (mtu) => {
    testDatagrams(usePasst(topology, { mtu }))
  })

  testResolution(usePasst(topology))

  overBoth((family) => {
    const address = family.version === 4 ? "192.0.2.53" : "2001:db8:1::53"
    const running = usePasst(topology, { options: ["--dns-forward", address, "--dns-host", family.other] })

    testWith("dig")("--dns-forward goes to the name server of --dns-host, over UDP and TCP", async () => {
      const ask = (...argv: string[]) => running.guest.must([...dig, `@${address}`, ...argv, "who.example", "TXT"])
      expect(await ask()).toBe(`"${family.other} ${family.host}"\n`)
      expect(await ask("+tcp")).toBe(`"${family.other} ${family.host}"\n`)
    })
  })
})

describe("pings", () => {
  const topology = useTopology({ router: true })

  describe.each([65520, 1500])("with an MTU of %i", (mtu) => {
    testEcho(usePasst(topology, { mtu }))
  })
})

describe("addresses of the host", () => {
  const topology = useTopology()

  testMapping(topology, async (options, body) => {
    const connection = await Connection.start(topology, { options })
    try {
      await body(connection.guest)
    } finally {
      await connection.stop()
    }
  })
})
