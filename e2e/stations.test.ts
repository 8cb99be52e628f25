/**
 * Ethernet addresses on the guest's link: several stations, a published port whose address the user chose, and
 * the host's neighbours, which are visible there.
 */
import { beforeAll, describe, expect, test } from "vitest"
import { checksum } from "./harness/frames.ts"
import { framed, Hypervisor } from "./harness/hypervisor.ts"
import { Passt } from "./harness/passt.ts"
import { Pasta, usePasta } from "./harness/pasta.ts"
import type { Place } from "./harness/places.ts"
import { eventually } from "./harness/processes.ts"
import { protocols, tcp, udp } from "./harness/protocols.ts"
import { tcpClient, UDP_PORT, useServer, useServerIn } from "./harness/servers.ts"
import { type Family, ipv4, ipv6, overBoth, useTopology } from "./harness/topology.ts"

const topology = useTopology()
useServer("tcp-server", topology)
useServer("udp-server", topology)

const OUR_MAC = "9a559a559a55"
const BROADCAST = "ffffffffffff"

interface Station {
  readonly mac: string
  readonly address: string
}

const bytesOf = (address: string) => Buffer.from(address.split(".").map(Number))

/** A frame with a datagram from a station, to port 5001. */
function datagram({ mac, address }: Station, to: string, text: string, ethernetTarget = OUR_MAC): Buffer {
  const udpHeader = Buffer.alloc(8)
  udpHeader.writeUInt16BE(4000, 0)
  udpHeader.writeUInt16BE(UDP_PORT, 2)
  udpHeader.writeUInt16BE(8 + text.length, 4)
  const ip = Buffer.concat([Buffer.from("450000000001000040110000", "hex"), bytesOf(address), bytesOf(to)])
  ip.writeUInt16BE(28 + text.length, 2)
  ip.writeUInt16BE(checksum(ip), 10)
  return Buffer.concat([Buffer.from(`${ethernetTarget}${mac}0800`, "hex"), ip, udpHeader, Buffer.from(text)])
}

/** A station's ARP request, for the gateway by default, which all stations receive. */
function arpRequest({ mac, address }: Station, asked = ipv4.gateway): Buffer {
  const start = Buffer.from(`${BROADCAST}${mac}08060001080006040001${mac}`, "hex")
  return Buffer.concat([start, bytesOf(address), Buffer.alloc(6), bytesOf(asked)])
}

const targetOf = (frame: Buffer) => frame.toString("hex", 0, 6)
const isAnswer = (text: string) => (frame: Buffer) => frame.includes(text)

test("each station of a hypervisor gets what is its own, and what is between them is nobody else's", async () => {
  const a = { mac: "02000000000a", address: ipv4.host }
  const b = { mac: "02000000000b", address: "192.0.2.77" }
  const passt = await Passt.start(topology, ["-d"])
  const hypervisor = await Hypervisor.connect(passt.socket)
  const send = (frame: Buffer) => hypervisor.send(framed(frame))
  await send(arpRequest(b))
  const answered = [a, b].map(({ address }) => hypervisor.frame(isAnswer(`from ${address}`)))
  await send(datagram(a, ipv4.server, `from ${a.address}`))
  // This station is the one heard last, before the answer can arrive.
  await send(arpRequest(b))
  await send(datagram(b, ipv4.server, `from ${b.address}`))
  expect((await Promise.all(answered)).map(targetOf)).toEqual([a.mac, b.mac])
  // A frame that a bridge floods: to the other station's Ethernet address, and to an address of the world.
  await send(datagram(a, ipv4.server, "overheard", b.mac))
  const last = hypervisor.frame(isAnswer("last"))
  await send(datagram(a, ipv4.server, "last"))
  await last
  await hypervisor.disconnect()
  const { stderr } = await passt.stop()
  expect(stderr).toMatch(/dropped: 1 \(eth: for another station\)/)
  // The station that is the source of a packet, not the one that is its Ethernet destination.
  expect(stderr.match(/New guest MAC address observed/g)).toHaveLength(2)
})

describe("with -a, and a bridge in the namespace on which another address talks", () => {
  const assigned = { 4: "10.0.2.2", 6: "fd00:2::2" } as const
  const other = { 4: "10.0.2.77", 6: "fd00:2::77" } as const
  const port = 7000
  const running = usePasta(topology, {
    options: [
      ...["--config-net", "-a", `${assigned[4]}/24`, "-g", "10.0.2.1", "-a", assigned[6]],
      ...["-t", String(port), "-u", String(port)],
    ],
  })
  beforeAll(async () => {
    const lines = [
      "link add br0 type bridge",
      "addr flush dev eth0",
      "link set eth0 master br0",
      "link set eth0 up",
      "link set br0 up",
      ...[assigned, other].flatMap((addresses) => [
        `addr add ${addresses[4]}/24 dev br0`,
        `addr add ${addresses[6]}/64 dev br0 nodad`,
      ]),
      "route replace default via 10.0.2.1 dev br0",
      "route replace default via fe80::1 dev br0",
    ]
    // The host's subnet is also behind the gateway.
    await running.guest.must(["ip", "-6", "route", "flush", "dev", "eth0"])
    await running.guest.must(["ip", "-batch", "-"], { input: `${lines.join("\n")}\n` })
  })
  const listen = [ipv4, ipv6].map(({ version }) => ({ address: assigned[version], port }))
  for (const { server } of [tcp, udp]) useServerIn(server, () => running.guest, listen)

  overBoth((family) => {
    test("ports lead to the address given", async () => {
      const request = { scenario: "from-addresses", from: [other[family.version]], bytes: 1000 }
      expect(await tcpClient(running.guest, family, request)).toEqual({ intact: 1 })
      for (const { arrival } of [tcp, udp]) {
        expect(await arrival(topology.world, family.host, port)).toMatchObject({ port })
      }
    })
  })
})

describe("a neighbour of the host", () => {
  const near = { 4: "192.0.2.77", 6: "2001:db8:1::77" } as const
  const macs = ["02:00:5e:00:00:01", "02:00:5e:00:00:02"] as const
  const port = 7001
  /** A host that changes its Ethernet address and announces that, as most systems do. */
  const introduce = (mac: string) => topology.world.configure([`link set eth0 address ${mac}`])
  const macSeen = async (guest: Place, address: string) => {
    const neighbours = await guest.json<{ dst: string; lladdr?: string }[]>(["ip", "-j", "neigh"])
    return neighbours.find(({ dst }) => dst === address)?.lladdr
  }
  const isAt = (guest: Place, address: string, mac: string) =>
    eventually(`${address} at ${mac}`, async () => ((await macSeen(guest, address)) === mac ? true : undefined))
  const plain = (mac: string) => mac.replaceAll(":", "")

  beforeAll(async () => {
    const addresses = [`addr add ${near[4]}/24 dev eth0`, `addr add ${near[6]}/64 dev eth0 nodad`]
    await topology.world.configure(addresses)
    await topology.world.set({ "net.ipv4.conf.eth0.arp_notify": 1, "net.ipv6.conf.eth0.ndisc_notify": 1 })
    await introduce(macs[0])
  })
  const addresses = [near[4], near[6]].map((address) => ({ address }))
  for (const { server } of protocols) useServerIn(server, () => topology.world, addresses)

  describe("in a namespace", () => {
    const running = usePasta(topology, { options: ["--config-net", "-t", String(port), "-u", String(port)] })
    const inside = [ipv4, ipv6].map(({ host }) => ({ address: host, port }))
    for (const { server } of protocols) useServerIn(server, () => running.guest, inside)

    const worksBothWays = async ({ version, host }: Family) => {
      const arrivals = protocols.flatMap((protocol) => [
        protocol.arrival(running.guest, near[version], protocol.port),
        protocol.arrival(topology.world, host, port, near[version]),
      ])
      const sources = [{ from: host }, { from: near[version] }]
      expect(await Promise.all(arrivals)).toMatchObject([...sources, ...sources])
    }

    overBoth((family) => {
      test("shows its own Ethernet address, and a change of it; everybody else shows ours", async () => {
        const address = near[family.version]
        await introduce(macs[0])
        await worksBothWays(family)
        await isAt(running.guest, address, macs[0])
        await introduce(macs[1])
        await isAt(running.guest, address, macs[1])
        await worksBothWays(family)
        expect(await macSeen(running.guest, address)).toBe(macs[1])
        await tcp.arrival(running.guest, family.server, tcp.port)
        expect(plain((await macSeen(running.guest, family.gateway)) ?? OUR_MAC)).toBe(OUR_MAC)
      })
    })
  })

  test("that is the gateway shows its own with --no-map-gw", async () => {
    await introduce(macs[0])
    const pasta = await Pasta.start(topology, { options: ["--config-net", "--no-map-gw"] })
    for (const { server, gateway, host } of [ipv4, ipv6]) {
      const arrivals = protocols.map((protocol) => protocol.arrival(pasta.guest, server, protocol.port))
      expect(await Promise.all(arrivals)).toMatchObject([{ from: host }, { from: host }])
      await isAt(pasta.guest, gateway, macs[0])
    }
    await pasta.stop()
  })

  test("sends frames to a virtual machine from its own Ethernet address, and gets those that go there", async () => {
    await introduce(macs[0])
    await udp.arrival(topology.host, near[4], udp.port)
    const guest = { mac: "02000000000c", address: ipv4.host }
    const passt = await Passt.start(topology)
    const hypervisor = await Hypervisor.connect(passt.socket)
    const send = (frame: Buffer) => hypervisor.send(framed(frame))
    const asked = bytesOf(near[4]).toString("hex")
    const answered = hypervisor.frame((frame) =>
      frame.toString("hex", 12, 42).includes(`0002${plain(macs[0])}${asked}`),
    )
    await send(arpRequest(guest, near[4]))
    expect((await answered).toString("hex", 6, 12)).toBe(OUR_MAC)
    const reply = hypervisor.frame(isAnswer("from here"))
    await send(datagram(guest, near[4], "from here", plain(macs[0])))
    expect((await reply).toString("hex", 0, 12)).toBe(`${guest.mac}${plain(macs[0])}`)
    await hypervisor.disconnect()
    await passt.stop()
  })
})
