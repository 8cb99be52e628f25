/** Ports that are forwarded while something is bound to them at the other end, in both directions: pasta's default. */
import { afterEach, describe, expect, test } from "vitest"
import { usePasta } from "./harness/pasta.ts"
import type { Place } from "./harness/places.ts"
import { eventually, type Program } from "./harness/processes.ts"
import { type Arrival, atPorts, type Protocol, refused, tcp, udp } from "./harness/protocols.ts"
import { type Listening, startServer } from "./harness/servers.ts"
import { families, ipv4, overBoth, useTopology } from "./harness/topology.ts"

const topology = useTopology()
const { host, world } = topology

const started: Program[] = []
afterEach(() => Promise.all(started.splice(0).map((server) => server.stop())))

/** A server that runs until it is stopped, or the test ends. */
async function serve(protocol: Protocol, place: Place, listen: readonly Partial<Listening>[]): Promise<Program> {
  const server = await startServer(protocol.server, place, listen)
  started.push(server)
  return server
}

/** Retries until the port is open. Returns how the request arrives. */
function opened(protocol: Protocol, from: Place, address: string, port: number): Promise<Arrival> {
  return eventually(`${protocol.name} port ${port} is open`, async () => {
    const arrival = await protocol.arrival(from, address, port)
    return "error" in arrival ? undefined : arrival
  })
}

/** Retries until the port is closed. */
function closed(protocol: Protocol, from: Place, address: string, port: number): Promise<true> {
  return eventually(`${protocol.name} port ${port} is closed`, async () => {
    const arrival = await protocol.arrival(from, address, port)
    return "error" in arrival && "error" in refused && arrival.error === refused.error ? true : undefined
  })
}

const both = [
  { protocol: tcp, alone: ["-u", "none", "-U", "none"] },
  { protocol: udp, alone: ["-t", "none", "-T", "none"] },
]

describe.each(both)("by default, $protocol.name ports", ({ protocol, alone }) => {
  const running = usePasta(topology, { options: ["--config-net", ...alone] })

  overBoth((family) => {
    /** With the same numbers for both families, one would wait for the other's ports to close. */
    const at = (port: number) => port + family.version

    test("of the namespace are open on the host while they are bound", async () => {
      const port = at(6200)
      expect(await protocol.arrival(world, family.host, port)).toEqual(refused)
      const server = await serve(protocol, running.guest, atPorts([port]))
      expect(await opened(protocol, world, family.host, port)).toEqual({ from: family.gateway, port })
      expect(await opened(protocol, host, family.loopback, port)).toEqual({ from: family.host, port })
      await server.stop()
      await Promise.all([closed(protocol, world, family.host, port), closed(protocol, host, family.loopback, port)])
    })

    test("of the host are open at the namespace's loopback while they are bound", async () => {
      const port = at(6210)
      expect(await protocol.arrival(running.guest, family.loopback, port)).toEqual(refused)
      const server = await serve(protocol, host, [{ address: family.loopback, port }])
      expect(await opened(protocol, running.guest, family.loopback, port)).toEqual({ from: family.loopback, port })
      await server.stop()
      await closed(protocol, running.guest, family.loopback, port)
    })

    test("that pasta has opened itself are not forwarded back", async () => {
      const [there, back] = [at(6220), at(6230)]
      const server = await serve(protocol, host, [{ address: family.loopback, port: there }])
      await opened(protocol, running.guest, family.loopback, there)
      // Ports that open and close afterwards show that pasta has scanned again since.
      const later = await serve(protocol, running.guest, atPorts([back]))
      await opened(protocol, world, family.host, back)
      expect(await protocol.arrival(world, family.host, there)).toEqual(refused)
      await Promise.all([server.stop(), later.stop()])
      await Promise.all([
        closed(protocol, running.guest, family.loopback, there),
        closed(protocol, world, family.host, back),
        closed(protocol, running.guest, family.loopback, back),
      ])
    })
  })

  test("that are bound for IPv6 are open for IPv4 as well", async () => {
    const port = 6240
    await serve(protocol, running.guest, [{ address: "::", port, isDualStack: true }])
    const arrived = { from: `::ffff:${ipv4.gateway}`, port }
    expect(await opened(protocol, world, ipv4.host, port)).toEqual(arrived)
  })
})

describe("a UDP server that connects its socket to the one who asks", () => {
  const running = usePasta(topology, { options: ["--config-net", "-t", "none", "-T", "none"] })

  test.each([
    { where: "in the namespace", port: 6250, address: ipv4.host, places: () => [running.guest, host, world] as const },
    {
      where: "on the host",
      port: 6260,
      address: ipv4.loopback,
      places: () => [host, running.guest, running.guest] as const,
    },
  ])("keeps its client, $where", async ({ port, address, places }) => {
    const [service, opening, client] = places()
    const isOpen = async (number: number) => (await opening.must(["ss", "-Hunl", `sport = :${number}`])) !== ""
    const server = service.start(["socat", "-d", "-d", `UDP4-LISTEN:${port}`, "PIPE"])
    started.push(server)
    await eventually("the port is open", async () => (await isOpen(port)) || undefined)
    const asking = client.start(["socat", "-", `UDP4:${address}:${port}`], { keepInputOpen: true })
    started.push(asking)
    asking.write("first\n")
    await asking.printed(/first/)
    // The ports open now show that pasta has seen that the server is no longer the only one bound.
    await serve(udp, service, [{ address: "0.0.0.0", port: port + 1 }])
    await eventually("the later one is open", async () => (await isOpen(port + 1)) || undefined)
    asking.write("second\n")
    await asking.printed(/second/)
    await server.stop()
    await eventually("the port is closed", async () => !(await isOpen(port)) || undefined)
  })
})

describe.each(both)("with auto and more, $protocol.name ports", ({ protocol, alone }) => {
  const { fromHost, fromGuest } = protocol
  const rules = [
    [fromHost, "6300-6303,~6302,auto"],
    [fromHost, "6310:6301,auto"],
    [fromHost, `${ipv4.loopback}/6320-6329,auto`],
    [fromGuest, "auto,~6331"],
  ].flat()
  const running = usePasta(topology, { options: ["--config-net", ...rules, ...alone] })

  test("are those of the set that are bound, where they are to be open, and whence they are mapped", async () => {
    const bound = [6300, 6301, 6302, 6304, 6320]
    await serve(protocol, running.guest, atPorts(bound))
    await opened(protocol, world, ipv4.host, 6300)
    const ask = (from: Place, address: string, port: number) => protocol.arrival(from, address, port)
    // One scan has seen everything that is bound.
    expect(await ask(world, ipv4.host, 6301)).toMatchObject({ port: 6301 })
    expect(await ask(world, ipv4.host, 6310)).toMatchObject({ port: 6301 })
    expect(await ask(host, ipv4.loopback, 6320)).toMatchObject({ port: 6320 })
    for (const port of [6302, 6303, 6304, 6320]) expect(await ask(world, ipv4.host, port)).toEqual(refused)
  })

  test("that are excluded stay closed, whatever is bound", async () => {
    const bound = [6330, 6331].flatMap((port) => families.map(({ loopback }) => ({ address: loopback, port })))
    await serve(protocol, host, bound)
    await opened(protocol, running.guest, ipv4.loopback, 6330)
    expect(await protocol.arrival(running.guest, ipv4.loopback, 6331)).toEqual(refused)
  })
})

describe("UDP follows TCP", () => {
  const options = ["--config-net", "-t", "6400-6401:6410-6411,auto", "-T", "none", "-U", "none"]
  const running = usePasta(topology, { options })
  const udpSockets = (port: number) => host.must(["ss", "-Hunl", `sport = :${port}`])

  test("a UDP port is open while TCP is bound to its number and forwarded there, without translation", async () => {
    // No rule for TCP leads to 6450.
    const server = await serve(tcp, running.guest, atPorts([6410, 6450]))
    await opened(tcp, world, ipv4.host, 6400)
    await eventually("UDP port 6410 is open", async () => ((await udpSockets(6410)) === "" ? undefined : true))
    for (const port of [6400, 6450]) expect(await udpSockets(port)).toBe("")
    await server.stop()
    await eventually("UDP port 6410 is closed", async () => ((await udpSockets(6410)) === "" ? true : undefined))
  })
})

describe("with few descriptors", () => {
  const options = ["--config-net", "-t", "none", "-u", "none"]
  const running = usePasta(topology, { options, before: ["prlimit", "--nofile=150", "--"] })

  test("ports of the host that are bound in any number leave some for the namespace's own connections", async () => {
    await serve(tcp, world, atPorts([6500]))
    const many = Array.from({ length: 60 }, (_, index) => 20_000 + index)
    await Promise.all([serve(tcp, host, atPorts(many)), serve(udp, host, atPorts(many))])
    await running.pasta.program.printed(/some automatic ports stay closed/, "stderr")
    expect(await tcp.arrival(running.guest, ipv4.server, 6500)).toMatchObject({ port: 6500 })
  })
})
