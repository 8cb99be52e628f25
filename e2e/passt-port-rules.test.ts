/** What -t and -u may say: where they listen, where that goes in the guest, and as whom. */
import { beforeAll, describe, expect, test } from "vitest"
import { second } from "./harness/inbound.ts"
import { runPasst } from "./harness/passt.ts"
import type { Place } from "./harness/places.ts"
import { startServer, TCP_PORT, tcpClient, UDP_PORT, udpClient, useServer, useServerIn } from "./harness/servers.ts"
import { DEVICE, usePasst } from "./harness/stand-in.ts"
import { type Family, families, overBoth, useTopology } from "./harness/topology.ts"

interface Who {
  readonly remoteAddress: string
  readonly localAddress: string
  readonly localPort: number
}

const topology = useTopology()

/** The rules under test, the same for both protocols; `to` is the server's port in the guest. */
const rules = (to: number): readonly string[] => [
  String(to),
  `7000:${to},7001:${to}`,
  "7100-7103:6100-6103",
  "7200-7203:6100-6103,~7202",
  ...families.flatMap(({ version, loopback, host }) => [
    `${loopback}/730${version}:${to}`,
    `${host}/740${version}:${to}`,
  ]),
  `%eth0/7600:${to}`,
]

const running = usePasst(topology, {
  options: [
    ...rules(TCP_PORT).flatMap((rule) => ["-t", rule]),
    ...rules(UDP_PORT).flatMap((rule) => ["-u", rule]),
    ...families.flatMap(({ host }) => ["-a", host]),
  ],
})

const anywhere = (ports: readonly number[]) =>
  ["0.0.0.0", "::"].flatMap((address) => ports.map((port) => ({ address, port })))
useServerIn("tcp-server.mjs", () => running.guest, anywhere([TCP_PORT, 6100, 6101, 6102, 6103]))
useServerIn("udp-server.mjs", () => running.guest, anywhere([UDP_PORT, 6100, 6101, 6102, 6103]))

/** Where a connection arrives in the guest and as whose; what went wrong, when it does not. */
async function connect(from: Place, family: Family, address: string, port: number, as?: string): Promise<Who | string> {
  const request = { scenario: "attempt", address, port, timeout: 3000 }
  const { outcome } = await tcpClient<{ outcome: string }>(from, family, request)
  if (outcome !== "connected") return outcome
  const who = { scenario: "who", address, port, ...(as === undefined ? {} : { from: [as] }) }
  const { answers } = await tcpClient<{ answers: readonly Who[] }>(from, family, who)
  return answers[0] ?? "no answer"
}

/** As whose a datagram arrives in the guest. */
async function ask(
  from: Place,
  family: Family,
  address: string,
  port: number,
  as?: string,
): Promise<string | undefined> {
  const request = { scenario: "who", address, port, ...(as === undefined ? {} : { from: as }) }
  return (await udpClient<{ address?: string }>(from, family, request)).address
}

overBoth((family) => {
  const { host, world } = topology
  const rule = (hundred: number) => hundred + family.version
  const atGuest = { localAddress: family.host, localPort: TCP_PORT }

  test("an address of the world arrives as it is", async () => {
    const who = await connect(world, family, family.host, TCP_PORT, family.server)
    expect(who).toMatchObject({ remoteAddress: family.server, ...atGuest })
    expect(await ask(world, family, family.host, UDP_PORT, family.server)).toBe(family.server)
  })

  test("the host's loopback arrives as the gateway", async () => {
    const who = await connect(host, family, family.loopback, TCP_PORT)
    expect(who).toMatchObject({ remoteAddress: family.gateway, ...atGuest })
    expect(await ask(host, family, family.loopback, UDP_PORT)).toBe(family.gateway)
  })

  test("the host's own address, which is the guest's as well, arrives as ours", async () => {
    const ours = [family.gateway, ...(family.version === 6 ? ["fe80"] : [])]
    const who = await connect(host, family, family.host, TCP_PORT)
    expect(who).toMatchObject({ localPort: TCP_PORT })
    expect(ours).toContain((who as Who).remoteAddress.replace(/^fe80:.*/, "fe80"))
    expect(ours).toContain((await ask(host, family, family.host, UDP_PORT))?.replace(/^fe80:.*/, "fe80"))
  })

  test.each([7000, 7001])("port %i goes to the port that it is mapped to", async (port) => {
    expect(await connect(world, family, family.host, port)).toMatchObject(atGuest)
    expect(await ask(world, family, family.host, port)).toBe(family.gateway)
  })

  test.each([0, 3])("the ports of a range go to those of another (%i)", async (i) => {
    expect(await connect(world, family, family.host, 7100 + i)).toMatchObject({ localPort: 6100 + i })
    expect(await ask(world, family, family.host, 7100 + i)).toBe(family.gateway)
  })

  test("an exclusion leaves a hole in a range", async () => {
    expect(await connect(world, family, family.host, 7201)).toMatchObject({ localPort: 6101 })
    expect(await connect(world, family, family.host, 7203)).toMatchObject({ localPort: 6103 })
    expect(await connect(world, family, family.host, 7202)).toBe("ECONNREFUSED")
    expect(await ask(world, family, family.host, 7202)).toBeUndefined()
  })

  test("a port on a loopback address is open only there", async () => {
    expect(await connect(host, family, family.loopback, rule(7300))).toMatchObject(atGuest)
    expect(await connect(world, family, family.host, rule(7300))).toBe("ECONNREFUSED")
    expect(await ask(host, family, family.loopback, rule(7300))).toBe(family.gateway)
    expect(await ask(world, family, family.host, rule(7300))).toBeUndefined()
  })

  test("a port on the host's address is open only there", async () => {
    expect(await connect(world, family, family.host, rule(7400))).toMatchObject(atGuest)
    expect(await connect(host, family, family.loopback, rule(7400))).toBe("ECONNREFUSED")
    expect(await ask(world, family, family.host, rule(7400))).toBe(family.gateway)
    expect(await ask(host, family, family.loopback, rule(7400))).toBeUndefined()
  })

  test("a port on an interface is open only there", async () => {
    expect(await connect(world, family, family.host, 7600)).toMatchObject(atGuest)
    expect(await connect(host, family, family.loopback, 7600)).toBe("ECONNREFUSED")
    expect(await ask(world, family, family.host, 7600)).toBe(family.gateway)
    expect(await ask(host, family, family.loopback, 7600)).toBeUndefined()
  })
})

describe("a rule that names an address of the guest", () => {
  // With an address to listen on: a port and an IPv6 address would be an address to listen on themselves.
  const rule = ({ version }: Family, to: number) => `${version === 4 ? "0.0.0.0" : "::"}/7500:${second[version]}/${to}`
  const named = usePasst(topology, {
    options: families.flatMap((family) => ["-t", rule(family, TCP_PORT), "-u", rule(family, UDP_PORT)]),
  })
  beforeAll(() =>
    named.guest.configure(
      families.map(
        ({ version, prefixLength }) =>
          `addr add ${second[version]}/${prefixLength} dev ${DEVICE}${version === 6 ? " nodad" : ""}`,
      ),
    ),
  )
  const listen = families.map(({ version }) => ({ address: second[version] }))
  useServerIn("tcp-server.mjs", () => named.guest, listen)
  useServerIn("udp-server.mjs", () => named.guest, listen)

  overBoth((family) => {
    test("goes there, and the answers come back", async () => {
      const who = await connect(topology.world, family, family.host, 7500)
      expect(who).toMatchObject({ localAddress: second[family.version], localPort: TCP_PORT })
      expect(await ask(topology.world, family, family.host, 7500)).toBe(family.gateway)
    })
  })
})

describe("a guest with other addresses than it was assigned", () => {
  const others = usePasst(topology, { options: ["-t", "7700:5001", "-u", "7700:5001"], unconfigured: true })
  beforeAll(async () => {
    await others.guest.configure([
      `link set ${DEVICE} up`,
      ...families.flatMap(({ version, prefixLength, gateway }) => [
        `addr add ${second[version]}/${prefixLength} dev ${DEVICE}${version === 6 ? " nodad" : ""}`,
        `route add default via ${gateway}`,
      ]),
    ])
  })
  const listen = families.map(({ version }) => ({ address: second[version], port: 5001 }))
  useServerIn("tcp-server.mjs", () => others.guest, listen)
  useServerIn("udp-server.mjs", () => others.guest, listen)
  useServer("tcp-server.mjs", topology)

  overBoth((family) => {
    test("is reached at the one that it was seen to use", async () => {
      const request = { scenario: "attempt", address: family.server, port: TCP_PORT, timeout: 3000 }
      expect(await tcpClient(others.guest, family, request)).toMatchObject({ outcome: "connected" })
      expect(await connect(topology.world, family, family.host, 7700)).toMatchObject({
        localAddress: second[family.version],
        localPort: 5001,
      })
      expect(await ask(topology.world, family, family.host, 7700)).toBe(family.gateway)
    })
  })
})

describe("with --freebind", () => {
  // None of the host's when passt starts.
  const late = { 4: "192.0.2.99", 6: "2001:db8:1::99" } as const
  const rule = (family: Family, to: number) => `${late[family.version]}/7900:${to}`
  const unbound = usePasst(topology, {
    options: [
      "--freebind",
      ...families.flatMap((family) => ["-t", rule(family, TCP_PORT), "-u", rule(family, UDP_PORT)]),
    ],
  })
  useServerIn("tcp-server.mjs", () => unbound.guest)
  useServerIn("udp-server.mjs", () => unbound.guest)

  overBoth((family) => {
    test("a port on an address that the host gets later works from then on", async () => {
      const { version, prefixLength } = family
      const address = `${late[version]}/${prefixLength} dev eth0`
      await topology.host.configure([`addr add ${address}${version === 6 ? " nodad" : ""}`])
      expect(await connect(topology.world, family, late[version], 7900)).toMatchObject({ localPort: TCP_PORT })
      expect(await ask(topology.world, family, late[version], 7900)).toBe(family.gateway)
      await topology.host.configure([`addr del ${address}`])
    })
  })
})

describe("with --no-map-gw", () => {
  const unmapped = usePasst(topology, { options: ["--no-map-gw", "-t", "7800:5001", "-u", "7800:5001"] })
  const listen = ["0.0.0.0", "::"].map((address) => ({ address, port: 5001 }))
  useServerIn("tcp-server.mjs", () => unmapped.guest, listen)
  useServerIn("udp-server.mjs", () => unmapped.guest, listen)

  overBoth((family) => {
    test("the host's loopback has no address in the guest and is dropped, the world arrives", async () => {
      const request = { scenario: "read", address: family.loopback, port: 7800 }
      expect(await tcpClient(topology.host, family, request)).toEqual({ bytes: 0, how: "ECONNRESET" })
      expect(await ask(topology.host, family, family.loopback, 7800)).toBeUndefined()
      expect(await connect(topology.world, family, family.host, 7800)).toMatchObject({ localPort: 5001 })
      expect(await ask(topology.world, family, family.host, 7800)).toBe(family.gateway)
    })
  })
})

describe("without ranges", () => {
  // A share of all ports, for the number of descriptors that a process may have.
  const rest = usePasst(topology, { options: ["-t", "127.0.0.1/~1-32000"] })
  useServerIn("tcp-server.mjs", () => rest.guest, [{ address: "0.0.0.0", port: 32_001 }])

  test("all ports but those that are excluded are forwarded", async () => {
    const [family] = families
    if (family === undefined) return
    expect(await connect(topology.host, family, family.loopback, 32_001)).toMatchObject({ localPort: 32_001 })
    expect(await connect(topology.host, family, family.loopback, 31_000)).toBe("ECONNREFUSED")
  })
})

describe("what is refused is refused with one line and status 1:", () => {
  const refused = async (...argv: string[]) => {
    const { status, stdout, stderr } = await runPasst(topology.host, ["-q", "-f", ...argv])
    expect(stderr).toMatch(/^[^\n]+\n$/)
    expect(stderr).not.toMatch(/\bat .*:\d+:\d+/) // No stack trace.
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" })
    return stderr
  }

  test.each([
    ["-t", "70000"],
    ["-t", "0"],
    ["-t", "80-22"],
    ["-t", "22-"],
    ["-t", "8000-8010:9000-9005"],
    ["-t", "192.0.2.300/8000"],
    ["-t", "%/8000"],
    ["-t", "eight"],
    ["-t", "auto"],
    ["-u", "70000"],
    ["-u", "8000:"],
  ])("%s %s", async (...argv) => {
    await refused(...argv)
  })

  test("a port that is in use", async () => {
    const [family] = families
    const holder = await startServer("tcp-server.mjs", topology.host, [{ address: family?.host ?? "", port: 8080 }])
    expect(await refused("-t", "8070-8090")).toContain("8080")
    await holder.stop()
  })

  test("a UDP port that is in use", async () => {
    const [family] = families
    const holder = await startServer("udp-server.mjs", topology.host, [{ address: family?.host ?? "", port: 8080 }])
    expect(await refused("-u", "8070-8090")).toContain("8080")
    await holder.stop()
  })

  test("a port that only root may have", async () => {
    expect(await refused("-t", "22")).toContain("22")
  })

  test("an address that the host does not have, unless told to bind anyway", async () => {
    expect(await refused("-t", "192.0.2.99/8000")).toContain("192.0.2.99")
  })
})
