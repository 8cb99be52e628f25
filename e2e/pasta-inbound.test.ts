/** Ports of the host that pasta forwards into the namespace: over the tap from the world, and from the host's loopback. */
import { describe, expect, test } from "vitest"
import { portRules, targetRules, testPortRules, testTargetRules, useSecondAddresses } from "./cases/port-rules.ts"
import { testTransfers } from "./cases/tcp-transfer.ts"
import { testDatagrams } from "./cases/udp.ts"
import { second, throughHost, throughLoopback } from "./harness/inbound.ts"
import { usePasta } from "./harness/pasta.ts"
import { type Protocol, tcp, udp } from "./harness/protocols.ts"
import { TCP_PORT, tcpClient, UDP_PORT, udpClient, useServerIn } from "./harness/servers.ts"
import { overBoth, useTopology } from "./harness/topology.ts"

const topology = useTopology()
/** Forwarded, but nothing listens there in the namespace. */
const ABSENT_PORT = 5998

/** The options for a protocol alone. */
const onlyTcp = ["-T", "none", "-u", "none", "-U", "none"]
const onlyUdp = ["-t", "none", "-T", "none", "-U", "none"]
const both: readonly { readonly protocol: Protocol; readonly alone: readonly string[] }[] = [
  { protocol: tcp, alone: onlyTcp },
  { protocol: udp, alone: onlyUdp },
]

describe.each(both)("rules for $protocol.name", ({ protocol, alone }) => {
  const running = usePasta(topology, { options: ["--config-net", ...portRules(protocol), ...alone] })
  testPortRules(topology, protocol, running, "host")
})

describe.each(both)("rules for $protocol.name that name a second address", ({ protocol, alone }) => {
  const running = usePasta(topology, { options: ["--config-net", ...targetRules(protocol, second), ...alone] })
  useSecondAddresses(() => running.guest, "eth0")
  testTargetRules(topology, protocol, running, second, "gateway")
})

describe.each(both)("rules for $protocol.name that name loopback", ({ protocol, alone }) => {
  const loopback = { 4: "127.0.0.1", 6: "::1" }
  const running = usePasta(topology, { options: ["--config-net", ...targetRules(protocol, loopback), ...alone] })
  testTargetRules(topology, protocol, running, loopback, "loopback")
})

const ends = [
  { where: "the world", place: topology.world, families: throughHost },
  { where: "the host's loopback", place: topology.host, families: throughLoopback },
]

describe("TCP", () => {
  const options = ["--config-net", "-t", `${TCP_PORT},${ABSENT_PORT}`, ...onlyTcp]
  const running = usePasta(topology, { options })
  useServerIn("tcp-server.mjs", () => running.guest)

  describe.each(ends)("from $where", ({ place, families }) => {
    testTransfers({ guest: place, families }, 20)

    overBoth((family) => {
      test("1,000 requests over one connection are answered one by one", async () => {
        expect(await tcpClient(place, family, { scenario: "requests", count: 1000 })).toEqual({ answered: 1000 })
      })

      test("a service that is not there resets the connection", async () => {
        const request = { scenario: "read", port: ABSENT_PORT }
        expect(await tcpClient(place, family, request)).toEqual({ bytes: 0, how: "ECONNRESET" })
      })
    }, families)
  })
})

describe("UDP", () => {
  const options = ["--config-net", "-u", `${UDP_PORT},${ABSENT_PORT}`, ...onlyUdp]
  const running = usePasta(topology, { options })
  useServerIn("udp-server.mjs", () => running.guest)

  describe.each(ends)("from $where", ({ place, families }) => {
    testDatagrams({ guest: place, families })

    overBoth((family) => {
      test("a service that is not there harms nobody", async () => {
        const request = { scenario: "sizes", sizes: [10], attempts: 1, port: ABSENT_PORT }
        expect(await udpClient(place, family, request)).toEqual({ intact: [] })
        expect(await udpClient(place, family, { scenario: "sizes", sizes: [100] })).toEqual({ intact: [100] })
      })
    }, families)
  })
})
