import { createSocket, type Socket as DatagramSocket } from "node:dgram"
import { once } from "node:events"
import { connect, createServer, type Server } from "node:net"
import { networkInterfaces } from "node:os"
import { Address } from "@demiflow/core"
import { Dhcpv4MessageType, Dhcpv4Option, emitDhcpv4, parseDhcpv4 } from "@demiflow/dhcp"
import { build, payload } from "@demiflow/testkit"
import { afterEach, expect, test } from "vitest"
import { DNS, freePort, GATEWAY, GATEWAY_V6, GUEST, LINK_LOCAL, TestGuest, type TestOptions } from "./test-support.ts"

const cleanUp: (() => unknown)[] = []

afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step()
})

async function open(options: TestOptions = {}): Promise<TestGuest> {
  const guest = await TestGuest.open(options)
  cleanUp.push(() => guest.gateway.close())
  return guest
}

/** A server on loopback that returns what it gets. */
async function echoServer(address = "127.0.0.1"): Promise<number> {
  const server = createServer((socket) => socket.on("error", () => {}).pipe(socket))
  return portOf(server.listen(0, address))
}

async function portOf(server: Server | DatagramSocket): Promise<number> {
  await once(server, "listening")
  cleanUp.push(() => server.close())
  return (server.address() as { port: number }).port
}

test("a guest gets its address by DHCP, with the gateway and the name server", async () => {
  const opened = await open({ nameServers: ["192.0.2.53"] })
  const { gateway, guest } = opened
  expect([gateway.socketsKind, `${gateway.v4?.guest}`]).toEqual(["sys", GUEST])
  const nothing = Address.parse("0.0.0.0")
  const hardwareAddress = new Uint8Array(16)
  hardwareAddress.set([2, 0, 0, 0, 0, 2])
  const header = {
    operation: 1,
    hardwareType: 1,
    hardwareLength: 6,
    hops: 0,
    transactionId: 42,
    seconds: 0,
    flags: 0,
    clientAddress: nothing,
    yourAddress: nothing,
    nextServer: nothing,
    relayAddress: nothing,
    hardwareAddress,
  }
  const message = new Uint8Array(300)
  const type = { code: Dhcpv4Option.messageType, value: Uint8Array.of(Dhcpv4MessageType.discover) }
  const length = emitDhcpv4(header, [type], 300, message)
  guest.send(
    build.ipv4({ source: "0.0.0.0", target: "255.255.255.255" }),
    build.udp({ sourcePort: 68, targetPort: 67 }),
    payload(message.subarray(0, length)),
  )
  const answer = await opened.frame((frame) => frame.udp?.targetPort === 68)
  const offer = parseDhcpv4(answer.payload)
  if (offer.kind !== "message") throw new Error("no DHCP message")
  const { yourAddress, options } = offer.message
  expect(`${yourAddress}`).toBe(GUEST)
  const addressOf = (code: number) => `${Address.fromBytes(options.get(code) ?? [])}`
  expect([addressOf(Dhcpv4Option.router), addressOf(Dhcpv4Option.nameServers)]).toEqual([GATEWAY, DNS])
  expect(addressOf(Dhcpv4Option.subnetMask)).toBe("255.255.255.0")
})

test("a guest that solicits routers gets the prefix and the name server", async () => {
  const guest = await open({ nameServers: ["2001:db8::53"] })
  guest.guest.send(build.ipv6({ source: LINK_LOCAL, target: "ff02::2", hopLimit: 255 }), build.icmpv6({ type: 133 }))
  const { bytes } = await guest.frame((frame) => frame.icmp?.type === 134)
  const text = Buffer.from(bytes).toString("hex")
  expect(text).toContain("fd9a559a559a00020000000000000000")
  expect(text).toContain("fd9a559a559a00020000000000000003")
})

test("a question to the guest's name server reaches the host's, and the answer comes from there", async () => {
  const server = createSocket("udp4").bind(0, "127.0.0.1")
  server.on("message", (text, { address, port }) => server.send(`${text}: 192.0.2.80`, port, address))
  const port = await portOf(server)
  const guest = await open({ nameServers: [{ address: "127.0.0.1", port }] })
  guest.guest.send(build.ip(GUEST, DNS), build.udp({ sourcePort: 4_000, targetPort: 53 }), payload("example.org"))
  const answer = await guest.frame((frame) => frame.udp !== undefined)
  expect(new TextDecoder().decode(answer.payload)).toBe("example.org: 192.0.2.80")
  expect([`${answer.ip?.source}`, answer.udp?.sourcePort]).toEqual([DNS, 53])
  expect([...guest.gateway.flows]).toMatchObject([
    { protocol: "udp", outside: { address: "127.0.0.1", port }, bytesFromGuest: 11, bytesToGuest: 23 },
  ])
})

test.each([
  ["sys", "127.0.0.1", GATEWAY],
  ["sys", "::1", GATEWAY_V6],
  ["node", "127.0.0.1", GATEWAY],
] as const)(
  "by %s, TCP reaches a server on %s at %s, and the flow is listed",
  async (socketsKind, loopback, address) => {
    const port = await echoServer(loopback)
    const guest = await open({ socketsKind })
    expect(guest.gateway.socketsKind).toBe(socketsKind)
    const { gateway, tcp } = guest
    const ends: string[] = []
    gateway.observe({
      opened: ({ handler }) => ends.push(`${handler} opened`),
      closed: ({ handler }, _, { bytesFromGuest }) => ends.push(`${handler} closed after ${bytesFromGuest} bytes`),
    })
    expect([...gateway.flows]).toEqual([])
    const connection = tcp.connect({ address, port })
    connection.write("hello")
    await guest.until(() => connection.receivedText === "hello")
    expect([...gateway.flows]).toEqual([
      {
        protocol: "tcp",
        isFromGuest: true,
        guest: { address: `${guest.guest.addressFor(address)}`, port: expect.any(Number) },
        seenByGuest: { address, port },
        outside: { address: loopback, port },
        state: "established",
        bytesFromGuest: 5,
        bytesToGuest: 5,
      },
    ])
    connection.end()
    await guest.until(() => connection.isEnded && gateway.flows.size === 0)
    expect(ends).toEqual(["tcp opened", "tcp closed after 5 bytes"])
    expect(tcp.violations).toEqual([])
  },
)

test.each(["sys", "node"] as const)(
  "by %s, a closed host is out of reach, and its resolver is not",
  async (socketsKind) => {
    const server = createSocket("udp4").bind(0, "127.0.0.1")
    server.on("message", (text, { address, port }) => server.send(`${text}: 192.0.2.80`, port, address))
    const nameServers = [{ address: "127.0.0.1", port: await portOf(server) }]
    const port = await echoServer()
    const guest = await open({ socketsKind, closedHost: true, nameServers })
    const own = Object.values(networkInterfaces()).flatMap((list = []) => list.map(({ address }) => address))
    const addresses = [GATEWAY, ...own.filter((address) => address.includes(".") && !address.startsWith("127."))]
    for (const address of addresses) {
      const connection = guest.tcp.connect({ address, port })
      expect(await guest.until(() => connection.failure)).toBe("unreachable")
    }
    guest.guest.send(build.ip(GUEST, DNS), build.udp({ sourcePort: 4_000, targetPort: 53 }), payload("example.org"))
    const answer = await guest.frame((frame) => frame.udp !== undefined)
    expect(new TextDecoder().decode(answer.payload)).toBe("example.org: 192.0.2.80")
    expect(guest.gateway.drops.get("forward: the host is closed to the guest")).toBe(addresses.length)
  },
)

test("a closed port is refused at once", async () => {
  const guest = await open()
  const connection = guest.tcp.connect({ address: GATEWAY, port: await freePort() })
  expect(await guest.until(() => connection.failure)).toBe("refused")
})

test.each(["sys", "node"] as const)("by %s, a port leads to the guest until it is taken back", async (socketsKind) => {
  const guest = await open({ socketsKind })
  const { gateway } = guest
  guest.tcp.listen(80, (connection) => {
    connection.onData = (bytes) => connection.write(bytes)
  })
  const port = await freePort()
  const forwarded = gateway.forward({ protocol: "tcp", port, address: "127.0.0.1", to: 80 })
  const client = connect(port, "127.0.0.1")
  const texts: string[] = []
  client.on("data", (text) => texts.push(`${text}`))
  client.write("from outside")
  await guest.until(() => texts.join() === "from outside")
  expect([...gateway.flows]).toMatchObject([
    { protocol: "tcp", isFromGuest: false, guest: { address: GUEST, port: 80 }, outside: { address: "127.0.0.1" } },
  ])
  forwarded.close()
  forwarded.close()
  // The connection goes on.
  client.write(", again")
  await guest.until(() => texts.join("") === "from outside, again")
  const late = connect(port, "127.0.0.1")
  const failures: unknown[] = []
  late.on("error", (error) => failures.push(error))
  await guest.until(() => failures.length > 0)
  expect(failures).toMatchObject([{ code: "ECONNREFUSED" }])
  client.destroy()
})

test("ports of the options are open from the start, and one in use is refused in one sentence", async () => {
  const port = await echoServer()
  const forward = [{ protocol: "tcp", port, address: "127.0.0.1" }] as const
  await expect(TestGuest.open({ forward })).rejects.toThrow(
    expect.objectContaining({ code: "ERR_GATEWAY_PORT", message: `Port ${port} of tcp can't be opened: EADDRINUSE` }),
  )
  const free = await freePort()
  const guest = await open({ forward: [{ protocol: "udp", port: free, address: "127.0.0.1", to: 7 }] })
  const client = createSocket("udp4")
  cleanUp.push(() => client.close())
  client.send("hello", free, "127.0.0.1")
  const datagram = await guest.frame((frame) => frame.udp?.targetPort === 7)
  expect(`${datagram.ip?.target}`).toBe(GUEST)
})

test("a link that ends closes its gateway", async () => {
  const ends: number[] = []
  const guest = await open({ onLinkEnd: (errno) => ends.push(errno) })
  guest.end.close()
  await guest.until(() => ends.length > 0)
  expect([ends, guest.gateway.isOpen]).toEqual([[32], false])
  expect(() => guest.gateway.forward({ protocol: "tcp", port: 1 })).toThrow(
    expect.objectContaining({ code: "ERR_GATEWAY_CLOSED" }),
  )
})
