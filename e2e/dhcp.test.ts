/** Real DHCP clients, and the kernel's own autoconfiguration, in a namespace without configuration. */
import { join } from "node:path"
import { beforeAll, describe, expect, test } from "vitest"
import { dhclient, raise, udhcpc } from "./harness/dhcp-clients.ts"
import { reachable, testWith } from "./harness/machine.ts"
import { Pasta, usePasta } from "./harness/pasta.ts"
import type { Guest } from "./harness/places.ts"
import { eventually } from "./harness/processes.ts"
import { tcpClient, useServer } from "./harness/servers.ts"
import { ipv4, ipv6, useTopology } from "./harness/topology.ts"

const topology = useTopology()
useServer("tcp-server", topology)

const names = ["-D", "192.0.2.53", "-D", "2001:db8:1::53", "-S", "a.example b.example", "--dhcp-dns", "--dhcp-search"]

const downloads = (guest: Guest, family = ipv4) =>
  tcpClient(guest, family, { scenario: "download", bytes: 100_000, seed: 61 })

describe("DHCPv4", () => {
  testWith("udhcpc")(
    "udhcpc gets address, mask, router, MTU, name servers and search list, and they work",
    async () => {
      const pasta = await Pasta.start(topology, { options: names })
      await raise(pasta.guest)
      const { lease } = await udhcpc(pasta.guest, "-O", "mtu", "-O", "search")
      expect(lease()).toMatchObject({
        ip: ipv4.host,
        mask: "24",
        router: ipv4.gateway,
        mtu: "65520",
        dns: "192.0.2.53",
        search: "a.example b.example",
      })
      expect(await downloads(pasta.guest)).toMatchObject({ intact: true })
      await pasta.stop()
    },
  )

  testWith("udhcpc")(
    "name servers and search list stay out unless they are asked for, and options are obeyed",
    async () => {
      const options = [
        "-a",
        "192.0.2.77",
        "-n",
        "255.255.255.128",
        "-g",
        "192.0.2.3",
        "-m",
        "1400",
        ...names.slice(0, 6),
      ]
      const pasta = await Pasta.start(topology, { options })
      await raise(pasta.guest)
      const { lease } = await udhcpc(pasta.guest, "-O", "mtu", "-O", "search")
      expect(lease()).toMatchObject({ ip: "192.0.2.77", subnet: "255.255.255.128", router: "192.0.2.3", mtu: "1400" })
      expect(lease()).not.toHaveProperty("dns")
      expect(lease()).not.toHaveProperty("search")
      await pasta.stop()
    },
  )

  testWith("udhcpc")("--no-dhcp answers nothing", async () => {
    const pasta = await Pasta.start(topology, { options: ["--no-dhcp"] })
    await raise(pasta.guest)
    const { result } = await udhcpc(pasta.guest, "-t", "2")
    expect(result.status).not.toBe(0)
    await pasta.stop()
  })

  testWith("dhclient")("dhclient gets a lease", async () => {
    const pasta = await Pasta.start(topology, { options: names })
    await raise(pasta.guest)
    const { lease } = await dhclient(pasta.guest, "-4")
    expect(lease()).toMatchObject({
      new_ip_address: ipv4.host,
      new_subnet_mask: "255.255.255.0",
      new_routers: ipv4.gateway,
      new_interface_mtu: "65520",
      new_domain_name_servers: "192.0.2.53",
      new_domain_search: "a.example. b.example.",
    })
    await pasta.stop()
  })
})

describe("DHCPv6", () => {
  testWith("dhclient")("dhclient -6 gets address, name servers and search list", async () => {
    const pasta = await Pasta.start(topology, { options: names })
    await raise(pasta.guest)
    const { lease } = await dhclient(pasta.guest, "-6")
    expect(lease()).toMatchObject({
      new_ip6_address: ipv6.host,
      new_dhcp6_name_servers: "2001:db8:1::53",
      new_dhcp6_domain_search: "a.example. b.example.",
    })
    await pasta.stop()
  })

  testWith("dhclient")("--no-dhcpv6 answers nothing", async () => {
    const pasta = await Pasta.start(topology, { options: ["--no-dhcpv6"] })
    await raise(pasta.guest)
    await expect(dhclient(pasta.guest, "-6", 4)).rejects.toThrow()
    await pasta.stop()
  })
})

describe("router advertisements", () => {
  const running = usePasta(topology, { options: ["-m", "1400", ...names] })
  beforeAll(() => raise(running.guest, true))

  interface Address {
    readonly local: string
    readonly prefixlen: number
    readonly dynamic?: boolean
  }

  test("give the kernel an address, a default route and an MTU that work", async () => {
    const { guest } = running
    const address = await eventually("an address by autoconfiguration", async () => {
      const [link] = await guest.json<{ addr_info: Address[] }[]>([
        "ip",
        "-6",
        "-j",
        "addr",
        "show",
        "eth0",
        "scope",
        "global",
      ])
      return link?.addr_info.find(({ dynamic }) => dynamic)
    })
    expect(address).toMatchObject({ local: expect.stringMatching(/^2001:db8:1::?/), prefixlen: 64 })
    const routes = await guest.json<{ dst: string; protocol: string; gateway: string }[]>(["ip", "-6", "-j", "route"])
    expect(routes.find(({ dst }) => dst === "default")).toMatchObject({
      protocol: "ra",
      gateway: expect.stringMatching(/^fe80:/),
    })
    expect(await guest.must(["cat", "/proc/sys/net/ipv6/conf/eth0/mtu"])).toBe("1400\n")
    expect(await downloads(guest, ipv6)).toMatchObject({ intact: true })
  })

  testWith("python3")("say all that was configured", async () => {
    const solicit = reachable(join(import.meta.dirname, "programs/router-solicitation.py"))
    expect(await running.guest.json(["/usr/bin/python3", solicit, "eth0", "60"])).toMatchObject({
      hopLimit: 64,
      mac: "9a:55:9a:55:9a:55",
      prefix: "2001:db8:1::/64",
      autonomous: true,
      mtu: 1400,
      dns: ["2001:db8:1::53"],
      search: ["a.example", "b.example"],
    })
  })

  testWith("python3")("--no-ra and --no-ndp keep silent", async () => {
    const solicit = reachable(join(import.meta.dirname, "programs/router-solicitation.py"))
    for (const option of ["--no-ra", "--no-ndp"]) {
      const pasta = await Pasta.start(topology, { options: [option] })
      await raise(pasta.guest)
      expect((await pasta.guest.run(["/usr/bin/python3", solicit, "eth0", "1"])).status).not.toBe(0)
      await pasta.stop()
    }
  })
})
