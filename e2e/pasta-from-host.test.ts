/**
 * Ports of the host that pasta forwards into the namespace: over the tap from the world, and from the host's loopback.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { portRules, targetRules, testPortRules, testTargetRules, useSecondAddresses } from "./cases/port-rules.ts"
import { testTransfers } from "./cases/tcp-transfer.ts"
import { testDatagrams } from "./cases/udp.ts"
import { second, throughHost, throughLoopback } from "./harness/from-host.ts"
import { usePasta } from "./harness/pasta.ts"
import { type Protocol, tcp, udp } from "./harness/protocols.ts"
import { TCP_PORT, tcpClient, UDP_PORT, udpClient, useServer, useServerIn } from "./harness/servers.ts"
import { families, ipv4, overBoth, useTopology } from "./harness/topology.ts"

const topology = useTopology()
/** Forwarded, but nothing listens there in the namespace. */
const ABSENT_PORT = 5998

/** Adds addresses to the host, or removes them. */
function secondAddresses(verb: "add" | "del"): readonly string[] {
  return families.map(({ version, prefixLength }) => {
    const nodad = verb === "add" && version === 6 ? " nodad" : ""
    return `addr ${verb} ${second[version]}/${prefixLength} dev eth0${nodad}`
  })
}

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

describe("a host with two addresses, which the guest has as well, with the options of Podman", () => {
  beforeAll(() => topology.host.configure(secondAddresses("add")))
  afterAll(() => topology.host.configure(secondAddresses("del")))
  const ports = both.flatMap(({ protocol: { fromHost, fromGuest, port } }) => [fromHost, `${port}`, fromGuest, "none"])
  const mapping = ["--no-map-gw", "--map-guest-addr", "169.254.1.2"]
  const running = usePasta(topology, { options: ["--config-net", ...mapping, ...ports] })
  for (const { protocol } of both) useServerIn(protocol.server, () => running.guest)
  useServer("udp-server", topology)

  overBoth((family) => {
    test("what the world sends arrives at the address that was asked, and the answer leaves from there", async () => {
      const addresses = [family.host, second[family.version]]
      for (const used of addresses) {
        // The guest used this address last; and its server at all addresses may answer from either.
        const request = { scenario: "from-addresses", from: [used] }
        expect(await udpClient(running.guest, family, request)).toEqual({ answered: 1 })
        for (const address of addresses) {
          const answer = await tcpClient(topology.world, family, { scenario: "who", address })
          expect(answer).toMatchObject({ answers: [{ localAddress: address, localPort: TCP_PORT }] })
          expect(await udp.arrival(topology.world, address, UDP_PORT)).toMatchObject({ port: UDP_PORT })
        }
      }
    })

    // IPv6 has no alias here: the guest sees its gateway.
    const from = family.version === 4 ? "169.254.1.2" : family.gateway

    test.each(both)("$protocol.name of the host itself arrives as ours", async ({ protocol: { arrival, port } }) => {
      for (const source of [family.host, second[family.version]]) {
        expect(await arrival(topology.host, family.host, port, source)).toEqual({ from, port })
      }
    })

    test("much arrives whole", async () => {
      const own = { ...family, server: family.host }
      const stream = { scenario: "echo", bytes: 1_000_000, seed: 5 }
      expect(await tcpClient(topology.host, own, stream)).toEqual({ bytes: 1_000_000, intact: true })
      const sizes = [1, 1473, 65_507]
      expect(await udpClient(topology.host, own, { scenario: "sizes", sizes })).toEqual({ intact: sizes })
    })
  })
})

const ends = [
  { where: "the world", place: topology.world, families: throughHost },
  { where: "the host's loopback", place: topology.host, families: throughLoopback },
]

describe("TCP", () => {
  const options = ["--config-net", "-t", `${TCP_PORT},${ABSENT_PORT}`, ...onlyTcp]
  const running = usePasta(topology, { options })
  useServerIn("tcp-server", () => running.guest)

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
  useServerIn("udp-server", () => running.guest)

  describe.each(ends)("from $where", ({ place, families }) => {
    testDatagrams({ guest: place, families }, false)

    overBoth((family) => {
      test("a service that is not there harms nobody", async () => {
        const request = { scenario: "sizes", sizes: [10], attempts: 1, port: ABSENT_PORT }
        expect(await udpClient(place, family, request)).toEqual({ intact: [] })
        expect(await udpClient(place, family, { scenario: "sizes", sizes: [100] })).toEqual({ intact: [100] })
      })
    }, families)
  })
})

describe("with few descriptors", () => {
  useServer("tcp-server", topology)
  const options = ["--config-net", "-t", `${TCP_PORT}`, ...onlyTcp]
  const running = usePasta(topology, { options, before: ["prlimit", "--nofile=200", "--"] })
  useServerIn("tcp-server", () => running.guest)

  test("connections from outside that do nothing leave some for those of the namespace", async () => {
    const request = { to: [{ address: ipv4.host, port: TCP_PORT }], connections: 300 }
    const crowd = topology.world.startNode("crowd.mjs", request, { keepInputOpen: true })
    // Connections that aren't accepted wait in the kernel's queue, and seem open.
    await crowd.printed(/"open":300/)
    const exchange = { scenario: "echo", bytes: 1_000, seed: 1 }
    expect(await tcpClient(running.guest, ipv4, exchange)).toEqual({ bytes: 1_000, intact: true })
    await running.pasta.program.printed(/too many files are open/, "stderr")
    await crowd.stop()
  })
})
