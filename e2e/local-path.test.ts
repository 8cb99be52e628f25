/**
 * Traffic that is local at both ends bypasses the tap: the source that servers see, and that nothing is lost, left over
 * or late.
 */
import { describe, expect, test } from "vitest"
import { testEndings } from "./cases/tcp-ending.ts"
import { testPatience } from "./cases/tcp-patience.ts"
import { throughLoopback } from "./harness/from-host.ts"
import { descriptors, receiveBufferDrops } from "./harness/inspection.ts"
import { fileFor, testWith } from "./harness/machine.ts"
import { Pasta, usePasta } from "./harness/pasta.ts"
import type { Place } from "./harness/places.ts"
import { eventually, mustRun } from "./harness/processes.ts"
import { udp } from "./harness/protocols.ts"
import {
  CLOSED_PORT,
  lastLine,
  type Request,
  startServer,
  startTcpClient,
  TCP_PORT,
  tcpClient,
  UDP_PORT,
  udpClient,
  useServerIn,
} from "./harness/servers.ts"
import { type Family, families, ipv4, overBoth, useTopology } from "./harness/topology.ts"

const topology = useTopology()
const sizes = [0, 1, 1400, 1472, 1473, 9000, 65_507]
const anywhere = [{ address: "0.0.0.0" }, { address: "::" }]
/** Descriptors that are kept for later connections: sockets of both IP versions in the namespace, and pipes. */
const KEPT = 2 * 32 + 2 * 16

/** A port whose server dies in the middle of a test. */
const MORTAL_PORT = TCP_PORT + 100
const tcpPorts = [TCP_PORT, MORTAL_PORT, CLOSED_PORT].join(",")
const noTcp = ["-t", "none", "-T", "none"]
const noUdp = ["-u", "none", "-U", "none"]

/** Both directions of the local path: clients at the loopback of one end, servers at that of the other. */
const directions = [
  { direction: "into the namespace", isFromHost: true, connections: 10_000 },
  { direction: "out of the namespace", isFromHost: false, connections: 1000 },
] as const

function useDirection(isFromHost: boolean, options: readonly string[]) {
  const running = usePasta(topology, { options: ["--config-net", "--host-lo-to-ns-lo", ...options] })
  const place = (isInside: boolean) => (isInside ? running.guest : topology.host)
  return {
    running,
    servers: () => place(isFromHost),
    clients: {
      get guest() {
        return place(!isFromHost)
      },
      families: throughLoopback,
    },
  }
}

describe.each(directions)("TCP $direction", ({ isFromHost, connections }) => {
  const ports = isFromHost ? ["-t", tcpPorts, "-T", "none"] : ["-t", "none", "-T", tcpPorts]
  const { running, servers, clients } = useDirection(isFromHost, [...ports, ...noUdp])
  const server = useServerIn("tcp-server", servers)

  testEndings(clients, servers, server)
  testPatience(clients, server)

  if (isFromHost) {
    test("another loopback address of the host is the same one in the namespace", async () => {
      const request = { scenario: "who", address: "127.0.0.5" }
      const { answers } = await tcpClient<{ answers: readonly object[] }>(clients.guest, ipv4, request)
      expect(answers[0]).toMatchObject({ localAddress: "127.0.0.5" })
    })
  }

  overBoth((family) => {
    test("50 MB are intact in both directions of a connection at once", async () => {
      const request = { scenario: "echo", bytes: 50_000_000, seed: 31 }
      expect(await tcpClient(clients.guest, family, request)).toEqual({ bytes: 50_000_000, intact: true })
    })

    test("a service that is not there resets the connection", async () => {
      const request = { scenario: "read", port: CLOSED_PORT }
      expect(await tcpClient(clients.guest, family, request)).toEqual({ bytes: 0, how: "ECONNRESET" })
    })
  }, throughLoopback)

  overBoth((family) => {
    test("a reader that pauses has nothing dropped, and need not wait for what is sent again", async () => {
      const places = [topology.host, running.guest]
      const before = await Promise.all(places.map(receiveBufferDrops))
      const request = { scenario: "slow-download", bytes: 60_000_000, seed: 44, rate: 1 }
      const client = startTcpClient(clients.guest, family, request, { keepInputOpen: true })
      await client.printed(/started/)
      // Meanwhile the buffers of the path fill up.
      await tcpClient(clients.guest, family, { scenario: "download", bytes: 50_000_000, seed: 45 })
      client.write("now as fast as you can\n")
      expect(lastLine((await client.result).stdout)).toEqual({ bytes: 60_000_000, intact: true })
      expect(await Promise.all(places.map(receiveBufferDrops))).toEqual(before)
    })
  }, throughLoopback)

  test(`${connections.toLocaleString("en")} connections leave no descriptor behind`, async () => {
    const held = () => descriptors(running.dataPath).length
    const before = held()
    for (const family of throughLoopback) {
      const request = { scenario: "short", connections: connections / 2, atOnce: 50 }
      expect(await tcpClient(clients.guest, family, request)).toEqual({ intact: connections / 2, errors: {} })
    }
    await eventually("what ended connections held is closed", () => (held() <= before + KEPT ? true : undefined))
  })
})

describe.each(directions)("UDP $direction", ({ isFromHost }) => {
  const udpPorts = [UDP_PORT, CLOSED_PORT].join(",")
  const ports = isFromHost ? ["-u", udpPorts, "-U", "none"] : ["-u", "none", "-U", udpPorts]
  const { servers, clients } = useDirection(isFromHost, [...noTcp, ...ports])
  useServerIn("udp-server", servers)

  overBoth((family) => {
    const ask = (request: Request) => udpClient(clients.guest, family, request)

    test("datagrams up to 65,507 bytes come back as they went", async () => {
      expect(await ask({ scenario: "sizes", sizes })).toEqual({ intact: sizes })
    })

    test("large answers to small questions arrive", async () => {
      expect(await ask({ scenario: "answers", sizes })).toEqual({ intact: sizes })
    })

    test("200 sockets at once all get their own answer", async () => {
      expect(await ask({ scenario: "many", sockets: 200 })).toEqual({ answered: 200 })
    })

    test("the datagrams of a burst are all answered, in order", async () => {
      expect(await ask({ scenario: "burst", count: 64, size: 1000 })).toEqual({ answered: 64, inOrder: true })
    })

    test("a service that is not there harms nobody", async () => {
      expect(await ask({ scenario: "sizes", sizes: [10], attempts: 1, port: CLOSED_PORT })).toEqual({ intact: [] })
      expect(await ask({ scenario: "sizes", sizes: [100] })).toEqual({ intact: [100] })
    })
  }, throughLoopback)
})

interface Ends {
  readonly remoteAddress: string
  readonly localAddress: string
}

/** Both addresses as the server of a TCP connection sees them. */
async function tcpEnds(from: Place, family: Family): Promise<Ends | undefined> {
  const { answers } = await tcpClient<{ answers: readonly Ends[] }>(from, family, { scenario: "who" })
  return answers[0]
}

/** The client's address as the server sees it. */
async function udpClientAddress(from: Place, family: Family): Promise<string | undefined> {
  return (await udpClient<{ address?: string }>(from, family, { scenario: "who" })).address
}

/** The packets with this port that cross the tap while pasta runs with these options, as tcpdump prints them. */
async function packetsDuring(options: readonly string[], port: number, body: (guest: Place) => Promise<void>) {
  const file = fileFor("tap.pcap")
  const pasta = await Pasta.start(topology, { options: ["--config-net", "-p", file, ...options] })
  await body(pasta.guest).finally(() => pasta.stop())
  return mustRun(["tcpdump", "-nn", "-r", file, "port", String(port)])
}

/** The source and the target that servers see for requests from the host's loopback. */
describe.each([
  { name: "by default", options: [], from: "host", to: "host", crosses: false },
  {
    name: "with --host-lo-to-ns-lo",
    options: ["--host-lo-to-ns-lo"],
    from: "loopback",
    to: "loopback",
    crosses: false,
  },
  { name: "with --no-splice", options: ["--no-splice"], from: "gateway", to: "host", crosses: true },
] as const)("from the host's loopback, $name,", ({ options, from, to, crosses }) => {
  const how = crosses ? "through the tap" : "past the tap"

  testWith("tcpdump")(`TCP goes ${how} and seems to come from the ${from} address`, async () => {
    const ports = ["-t", String(TCP_PORT), "-T", "none", ...noUdp]
    const packets = await packetsDuring([...options, ...ports], TCP_PORT, async (guest) => {
      await startServer("tcp-server", guest, anywhere)
      for (const family of throughLoopback) {
        const expected = { remoteAddress: family[from], localAddress: family[to] }
        expect(await tcpEnds(topology.host, family)).toMatchObject(expected)
      }
    })
    expect(packets !== "").toBe(crosses)
  })

  testWith("tcpdump")(`UDP goes ${how} and seems to come from the ${from} address`, async () => {
    const ports = [...noTcp, "-u", String(UDP_PORT), "-U", "none"]
    const packets = await packetsDuring([...options, ...ports], UDP_PORT, async (guest) => {
      await startServer("udp-server", guest, anywhere)
      for (const family of throughLoopback) {
        expect(await udpClientAddress(topology.host, family)).toBe(family[from])
      }
    })
    expect(packets !== "").toBe(crosses)
  })
})

describe("from the namespace's loopback", () => {
  /** The address of systemd-resolved, for instance. */
  const another = { ...ipv4, server: "127.0.0.53", loopback: "127.0.0.53" }
  const onLoopback = [...families, another].map(({ loopback }) => ({ address: loopback }))

  testWith("tcpdump")("TCP goes past the tap, from and to the same loopback addresses of the host", async () => {
    const server = await startServer("tcp-server", topology.host, onLoopback)
    const ports = ["-T", String(TCP_PORT), "-t", "none", ...noUdp]
    const packets = await packetsDuring(ports, TCP_PORT, async (guest) => {
      for (const family of throughLoopback) {
        const expected = { remoteAddress: family.loopback, localAddress: family.loopback }
        expect(await tcpEnds(guest, family)).toMatchObject(expected)
      }
      expect(await tcpEnds(guest, another)).toMatchObject({ localAddress: another.loopback })
    }).finally(() => server.stop())
    expect(packets).toBe("")
  })

  testWith("tcpdump")("UDP goes past the tap, from and to the same loopback addresses of the host", async () => {
    const server = await startServer("udp-server", topology.host, onLoopback)
    const ports = [...noTcp, "-U", String(UDP_PORT), "-u", "none"]
    const packets = await packetsDuring(ports, UDP_PORT, async (guest) => {
      for (const family of throughLoopback) expect(await udpClientAddress(guest, family)).toBe(family.loopback)
      // The server listens only at that address, and its answer comes from there.
      expect(await udp.arrival(guest, another.loopback, UDP_PORT, "127.0.0.5")).toMatchObject({ from: "127.0.0.5" })
    }).finally(() => server.stop())
    expect(packets).toBe("")
  })

  test("so does UDP the other way round, with --host-lo-to-ns-lo", async () => {
    const ports = [...noTcp, "-u", String(UDP_PORT), "-U", "none"]
    const pasta = await Pasta.start(topology, { options: ["--config-net", "--host-lo-to-ns-lo", ...ports] })
    await startServer("udp-server", pasta.guest, [{ address: another.loopback }])
    const arrived = await udp.arrival(topology.host, another.loopback, UDP_PORT, "127.0.0.5")
    expect(arrived).toEqual({ from: "127.0.0.5", port: UDP_PORT })
    await pasta.stop()
  })
})

describe("with --splice-only", () => {
  const ports = ["-t", String(TCP_PORT), "-T", String(TCP_PORT + 1)]
  const running = usePasta(topology, { options: ["--splice-only", ...ports, ...noUdp] })
  useServerIn("tcp-server", () => running.guest)
  useServerIn("tcp-server", () => topology.host, [
    { address: "127.0.0.1", port: TCP_PORT + 1 },
    { address: "::1", port: TCP_PORT + 1 },
  ])

  test("there is no interface but lo", async () => {
    const links = await running.guest.json<{ ifname: string; flags: string[] }[]>(["ip", "-j", "link"])
    expect(links).toMatchObject([{ ifname: "lo", flags: expect.arrayContaining(["UP"]) }])
  })

  overBoth((family) => {
    test("loopback reaches loopback, in both directions", async () => {
      expect(await tcpEnds(topology.host, { ...family, server: family.loopback })).toMatchObject({
        remoteAddress: family.loopback,
        localAddress: family.loopback,
      })
      const request = { scenario: "download", bytes: 1_000_000, seed: 3, address: family.loopback, port: TCP_PORT + 1 }
      expect(await tcpClient(running.guest, family, request)).toMatchObject({ intact: true })
    })

    test("the world doesn't reach the namespace", async () => {
      const request = { scenario: "read", address: family.host }
      const { bytes, how } = await tcpClient<{ bytes: number; how: string }>(topology.world, family, request)
      expect(bytes).toBe(0)
      expect(["ECONNREFUSED", "ECONNRESET"]).toContain(how)
    })
  })
})
