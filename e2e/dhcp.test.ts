/** Real DHCP clients, and the kernel's own autoconfiguration, in a namespace that nobody has configured. */
import { chmodSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { beforeAll, describe, expect, test } from "vitest"
import { reachable, temporaryFolder, testWith } from "./harness/machine.ts"
import { Pasta, usePasta } from "./harness/pasta.ts"
import type { Guest } from "./harness/places.ts"
import { eventually, mustRun } from "./harness/processes.ts"
import { tcpClient, useServer } from "./harness/servers.ts"
import { ipv4, ipv6, useTopology } from "./harness/topology.ts"

const topology = useTopology()
useServer("tcp-server.mjs", topology)

const names = ["-D", "192.0.2.53", "-D", "2001:db8:1::53", "-S", "a.example b.example", "--dhcp-dns", "--dhcp-search"]

/** Sets the interface up without waiting for duplicate address detection. */
async function raise(guest: Guest, autoconfigure = false): Promise<void> {
  const settings = ["net.ipv6.conf.eth0.accept_dad=0", `net.ipv6.conf.eth0.accept_ra=${autoconfigure ? 1 : 0}`]
  await mustRun(["nsenter", `--net=${guest.path}`, "sysctl", "-q", "-w", ...settings])
  await guest.must(["ip", "link", "set", "eth0", "up"])
}

/** A script for a DHCP client, which writes what it was told to a file, and sets the network up by it. */
function clientScript(setUp: string): {
  readonly script: string
  told(): Record<string, string>
  readonly folder: string
} {
  const folder = temporaryFolder("dhcp")
  const script = `${folder}/script`
  writeFileSync(script, `#!/bin/sh\nenv | sort > ${folder}/told.$1$reason\n${setUp}\n`)
  chmodSync(script, 0o755)
  const told = () => {
    const event = ["bound", "BOUND", "BOUND6"].find((name) => {
      try {
        return readFileSync(`${folder}/told.${name}`, "utf8") !== ""
      } catch {
        return false
      }
    })
    const lines = readFileSync(`${folder}/told.${event}`, "utf8").trim().split("\n")
    return Object.fromEntries(lines.map((line) => [line.replace(/=.*/, ""), line.replace(/^[^=]*=/, "")]))
  }
  return { script, told, folder }
}

const downloads = (guest: Guest, family = ipv4) =>
  tcpClient(guest, family, { scenario: "download", bytes: 100_000, seed: 61 })

describe("DHCPv4", () => {
  testWith("udhcpc")(
    "udhcpc gets address, mask, router, MTU, name servers and search list, and they work",
    async () => {
      const pasta = await Pasta.start(topology, { options: names })
      await raise(pasta.guest)
      const { script, told } = clientScript(
        '[ "$1" = bound ] && ip addr add $ip/$mask dev $interface && ip route add default via $router',
      )
      const ask = ["-O", "mtu", "-O", "search"]
      await pasta.guest.run(["udhcpc", "-i", "eth0", "-f", "-n", "-q", "-t", "5", "-T", "1", "-s", script, ...ask])
      expect(told()).toMatchObject({
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
      const { script, told } = clientScript("")
      const ask = ["-O", "mtu", "-O", "search"]
      await pasta.guest.run(["udhcpc", "-i", "eth0", "-f", "-n", "-q", "-t", "5", "-T", "1", "-s", script, ...ask])
      expect(told()).toMatchObject({ ip: "192.0.2.77", subnet: "255.255.255.128", router: "192.0.2.3", mtu: "1400" })
      expect(told()).not.toHaveProperty("dns")
      expect(told()).not.toHaveProperty("search")
      await pasta.stop()
    },
  )

  testWith("udhcpc")("--no-dhcp answers nothing", async () => {
    const pasta = await Pasta.start(topology, { options: ["--no-dhcp"] })
    await raise(pasta.guest)
    const { status } = await pasta.guest.run([
      "udhcpc",
      "-i",
      "eth0",
      "-f",
      "-n",
      "-q",
      "-t",
      "2",
      "-T",
      "1",
      "-s",
      "/bin/true",
    ])
    expect(status).not.toBe(0)
    await pasta.stop()
  })

  testWith("dhclient")("dhclient gets a lease", async () => {
    const pasta = await Pasta.start(topology, { options: names })
    await raise(pasta.guest)
    const { told } = await dhclient(pasta.guest, "-4")
    expect(told()).toMatchObject({
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

async function dhclient(guest: Guest, version: "-4" | "-6") {
  const client = clientScript("exit 0")
  const { folder, script } = client
  const ask = version === "-4" ? "subnet-mask, routers, interface-mtu, domain-name-servers, domain-search" : ""
  writeFileSync(`${folder}/dhclient.conf`, version === "-4" ? `request ${ask};\ntimeout 10;\n` : "timeout 10;\n")
  const files = ["-cf", `${folder}/dhclient.conf`, "-lf", `${folder}/leases`, "-pf", `${folder}/pid`]
  await guest.must(["dhclient", version, "-1", "-v", "-sf", script, ...files, "eth0"], { timeout: 40_000 })
  return client
}

describe("DHCPv6", () => {
  testWith("dhclient")("dhclient -6 gets address, name servers and search list", async () => {
    const pasta = await Pasta.start(topology, { options: names })
    await raise(pasta.guest)
    const { told } = await dhclient(pasta.guest, "-6")
    expect(told()).toMatchObject({
      new_ip6_address: ipv6.host,
      new_dhcp6_name_servers: "2001:db8:1::53",
      new_dhcp6_domain_search: "a.example. b.example.",
    })
    await pasta.stop()
  })

  testWith("dhclient")("--no-dhcpv6 answers nothing", async () => {
    const pasta = await Pasta.start(topology, { options: ["--no-dhcpv6"] })
    await raise(pasta.guest)
    await expect(dhclient(pasta.guest, "-6")).rejects.toThrow()
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
    expect(await running.guest.json(["/usr/bin/python3", solicit, "eth0"])).toMatchObject({
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
      expect((await pasta.guest.run(["/usr/bin/python3", solicit, "eth0"])).status).not.toBe(0)
      await pasta.stop()
    }
  })
})
