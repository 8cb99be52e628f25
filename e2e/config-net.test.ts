/** --config-net: addresses, routes, MTU and link of the namespace, as configured or as the host has them. */
import { mkdirSync, symlinkSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { reachable, temporaryFolder } from "./harness/machine.ts"
import { Pasta, runPasta } from "./harness/pasta.ts"
import { tcpClient, useServer } from "./harness/servers.ts"
import { ipv4, ipv6, useTopology } from "./harness/topology.ts"

interface Link {
  readonly ifname: string
  readonly mtu: number
  readonly address: string
  readonly operstate: string
  readonly flags: readonly string[]
  readonly addr_info: readonly { readonly local: string; readonly prefixlen: number; readonly scope: string }[]
}

interface Route {
  readonly dst: string
  readonly gateway?: string
  readonly dev: string
  readonly metric?: number
}

interface Network {
  readonly links: readonly Link[]
  readonly routes4: readonly Route[]
  readonly routes6: readonly Route[]
}

const topology = useTopology()
useServer("tcp-server", topology)

// More than one address and route to copy.
beforeAll(() =>
  topology.host.configure([
    "addr add 192.0.2.20/25 dev eth0",
    "addr add 2001:db8:1::20/64 dev eth0 nodad",
    "route add 203.0.113.0/24 via 192.0.2.9 metric 77",
    "route add 2001:db8:77::/48 via 2001:db8:1::9 metric 78",
  ]),
)

/** The command's view of the network. */
async function network(...options: string[]): Promise<Network> {
  const script = "ip -j addr; ip -j -4 route; ip -j -6 route"
  const { stdout, stderr } = await runPasta(topology.host, ["--config-net", ...options, "--", "sh", "-c", script])
  const parts = stdout.split("\n").filter((line) => line !== "")
  if (parts.length !== 3) throw new Error(stdout + stderr)
  const [links, routes4, routes6] = parts.map((part) => JSON.parse(part)) as [Link[], Route[], Route[]]
  return { links, routes4, routes6 }
}

const named = ({ links }: Network, name: string): Link | undefined => links.find(({ ifname }) => ifname === name)

const globals = (link: Link | undefined) =>
  (link?.addr_info ?? [])
    .filter(({ scope }) => scope === "global")
    .map(({ local, prefixlen }) => `${local}/${prefixlen}`)

const gateways = (routes: readonly Route[]) =>
  routes.filter(({ dst }) => dst === "default").map(({ gateway }) => gateway)

test("by default, everything is as on the host", async () => {
  const seen = await network()
  const link = named(seen, "eth0")
  expect(link).toMatchObject({ mtu: 65520, flags: expect.arrayContaining(["UP", "LOWER_UP"]) })
  expect(globals(link).sort()).toEqual(
    ["192.0.2.2/24", "192.0.2.20/25", "2001:db8:1::2/64", "2001:db8:1::20/64"].sort(),
  )
  expect(gateways(seen.routes4)).toEqual([ipv4.gateway])
  expect(gateways(seen.routes6)).toEqual([ipv6.gateway])
  expect(seen.routes4).toContainEqual(
    expect.objectContaining({ dst: "203.0.113.0/24", gateway: "192.0.2.9", dev: "eth0", metric: 77 }),
  )
  expect(seen.routes6).toContainEqual(
    expect.objectContaining({ dst: "2001:db8:77::/48", gateway: "2001:db8:1::9", dev: "eth0", metric: 78 }),
  )
  expect(named(seen, "lo")).toMatchObject({ flags: expect.arrayContaining(["UP"]) })
})

test("-4 leaves IPv6 out", async () => {
  const seen = await network("-4")
  expect(globals(named(seen, "eth0")).sort()).toEqual(["192.0.2.2/24", "192.0.2.20/25"])
  expect(gateways(seen.routes6)).toEqual([])
})

test("-6 leaves IPv4 out", async () => {
  const seen = await network("-6")
  expect(globals(named(seen, "eth0")).sort()).toEqual(["2001:db8:1::2/64", "2001:db8:1::20/64"].sort())
  expect(seen.routes4).toEqual([])
})

describe("-a and -n", () => {
  test("assign another address, with the mask of the option", async () => {
    const seen = await network("-a", "192.0.2.77", "-n", "255.255.255.128")
    expect(globals(named(seen, "eth0"))).toContain("192.0.2.77/25")
    expect(globals(named(seen, "eth0"))).not.toContain("192.0.2.2/24")
  })

  test("the mask may be a number of bits", async () => {
    expect(globals(named(await network("-a", "192.0.2.77", "-n", "26"), "eth0"))).toContain("192.0.2.77/26")
  })

  test("the mask may stand with the address", async () => {
    expect(globals(named(await network("-a", "192.0.2.77/28"), "eth0"))).toContain("192.0.2.77/28")
  })

  test("without a mask, it is that of the address's class", async () => {
    expect(globals(named(await network("-a", "10.9.8.7", "-g", "10.0.0.1"), "eth0"))).toContain("10.9.8.7/8")
  })

  test("IPv6 addresses have 64 bits of prefix", async () => {
    expect(globals(named(await network("-a", "2001:db8:1::77"), "eth0"))).toContain("2001:db8:1::77/64")
  })
})

test("-g sets another gateway and copies no routes", async () => {
  const seen = await network("-g", "192.0.2.3", "-g", "2001:db8:1::3")
  expect(gateways(seen.routes4)).toEqual(["192.0.2.3"])
  expect(gateways(seen.routes6)).toEqual(["2001:db8:1::3"])
  expect(seen.routes4.some(({ dst }) => dst === "203.0.113.0/24")).toBe(false)
})

test("-m sets the MTU", async () => {
  expect(named(await network("-m", "1400"), "eth0")?.mtu).toBe(1400)
})

test("-I names the interface", async () => {
  const seen = await network("-I", "uplink7")
  expect(globals(named(seen, "uplink7"))).toContain("192.0.2.2/24")
  expect(named(seen, "eth0")).toBeUndefined()
})

test("--ns-mac-addr sets the guest's own hardware address", async () => {
  expect(named(await network("--ns-mac-addr", "02:00:5e:10:20:30"), "eth0")?.address).toBe("02:00:5e:10:20:30")
})

test("-M sets the hardware address that the guest sees on the other end", async () => {
  const script = "ping -c 1 -W 5 198.51.100.7 >/dev/null; ip -j neigh"
  for (const [options, expected] of [
    [["-M", "02:00:5e:aa:bb:cc"], "02:00:5e:aa:bb:cc"],
    [[], "9a:55:9a:55:9a:55"],
  ] as const) {
    const { stdout } = await runPasta(topology.host, ["--config-net", ...options, "--", "sh", "-c", script])
    const neighbours = JSON.parse(stdout) as { dst: string; lladdr: string }[]
    expect(neighbours.find(({ dst }) => dst === ipv4.gateway)?.lladdr).toBe(expected)
  }
})

test("-i takes addresses and routes from another interface", async () => {
  await topology.host.configure([
    "link add eth9 type veth peer name eth8",
    "link set eth9 up",
    "link set eth8 up",
    "addr add 203.0.113.50/24 dev eth9",
    "route add default via 203.0.113.1 dev eth9 metric 9000",
  ])
  const seen = await network("-i", "eth9", "-4")
  await topology.host.configure(["link delete eth9"])
  expect(globals(named(seen, "eth9"))).toEqual(["203.0.113.50/24"])
  expect(gateways(seen.routes4)).toEqual(["203.0.113.1"])
})

describe("addresses and routes of all sorts", () => {
  const show = ["-4 route show dev eth9", "-6 route show dev eth9", "-o addr show dev eth9 scope global"]
  const script = show.map((words) => `ip ${words}`).join("; echo; ")
  // The number of the interface is another one.
  const sections = (text: string) =>
    text
      .replaceAll(/^\d+: /gm, "")
      .split("\n\n")
      .slice(0, show.length)

  beforeAll(() =>
    topology.host.configure([
      "link add eth9 type veth peer name eth8",
      "link set eth9 up",
      "link set eth8 up",
      "addr add 203.0.113.50/24 brd + dev eth9",
      "addr add 203.0.113.51/24 dev eth9",
      "addr add 10.9.0.1 peer 10.9.0.2 dev eth9",
      "addr add 10.8.0.1/24 metric 100 dev eth9",
      "addr add 10.7.0.1/24 noprefixroute dev eth9",
      "addr add 2001:db8:9::1/112 dev eth9 nodad",
      "addr add 2001:db8:9:1::1/128 dev eth9 nodad",
      "addr add 2001:db8:9:2::1 peer 2001:db8:9:2::2 dev eth9 nodad",
      "route add default via 203.0.113.1 dev eth9 metric 9000",
      "route add 10.99.0.0/16 via 203.0.113.1 mtu 1400 metric 77",
      "route add 11.0.0.0/8 via 203.0.113.1 advmss 1200 initcwnd 7 window 70000 rto_min 50ms",
      "route add 13.0.0.0/8 via 203.0.113.9",
      "route add 13.0.0.0/8 tos 0x10 via 203.0.113.1",
      "route add 16.0.0.0/8 nexthop via 203.0.113.3 dev eth9 nexthop via 203.0.113.4 dev eth9 weight 3",
      "route add 17.0.0.0/8 via 172.16.0.1 dev eth9 onlink proto dhcp",
      "route add default via fe80::9 dev eth9 metric 9000",
      "route add 2001:db8:9:8::/64 via 2001:db8:9::9 mtu 1400",
      "route add 2001:db8:9:7::/64 via 2001:db8:9::9 pref high",
      "route add 2001:db8:9:a::/64 via 2001:db8:9::9",
      "route add 2001:db8:9:a::/64 from 2001:db8:9::/48 via 2001:db8:9::8",
    ]),
  )
  afterAll(() => topology.host.configure(["link delete eth9"]))

  const inside = async (command: string) => {
    const options = ["--config-net", "-i", "eth9", "--", "sh", "-euc", command]
    const { stdout, stderr } = await runPasta(topology.host, options)
    return { sections: sections(stdout), stderr }
  }

  test("are as on the host, down to their attributes", async () => {
    const there = sections(await topology.host.shell(script))
    expect(there.every((text) => text.includes("eth9") || text.includes(" via "))).toBe(true)
    const here = await inside(script)
    expect(here.sections, here.stderr).toEqual(there)
  })

  test("have their connected routes again once the link was down, and take a default route", async () => {
    const down = "ip link set eth9 down; ip link set eth9 up"
    const replace = "ip route replace default via 203.0.113.1; ip -6 route replace default via 2001:db8:9::9"
    const { sections: seen, stderr } = await inside(`${down}; ${replace}; ${script}`)
    const connected = sections(await topology.host.shell(script)).map((text) =>
      text
        .split("\n")
        .filter((line) => !/ via |nexthop/.test(line))
        .join("\n"),
    )
    const [routes4, routes6, addresses] = seen.map((text) =>
      text
        .split("\n")
        .filter((line) => !line.startsWith("default"))
        .join("\n"),
    )
    expect([routes4, routes6, addresses], stderr).toEqual(connected)
    expect(seen.join("\n")).toContain("default via 203.0.113.1")
    expect(seen.join("\n")).toContain("default via 2001:db8:9::9")
  })

  test("--no-copy-routes has a default route, also where the host's names no gateway", async () => {
    await topology.host.configure(["route replace default dev eth9 metric 9000"])
    const { stdout } = await runPasta(topology.host, [
      ...["--config-net", "-i", "eth9", "--no-copy-routes", "-4", "--"],
      ...["ip", "-j", "route", "get", "198.51.100.7"],
    ])
    expect(JSON.parse(stdout)).toMatchObject([{ dst: "198.51.100.7", dev: "eth9" }])
  })
})

test.runIf(process.arch === "x64").each([
  ["IPv4", "2", ipv6],
  ["IPv6", "10", ipv4],
] as const)(
  "where there are no sockets for %s, it is off, and the other version works",
  async (name, family, other) => {
    const program = reachable(join(import.meta.dirname, "programs/without-family.py"))
    const pasta = await Pasta.start(topology, { before: ["/usr/bin/python3", program, family] })
    expect(pasta.program.stderr.match(/is off/g)).toHaveLength(1)
    expect(pasta.program.stderr).toContain(`${name} is off, as there are no sockets for it here`)
    const version = other.version === 4 ? "-6" : "-4"
    expect(await pasta.guest.must(["ip", version, "-br", "addr", "show", "dev", "eth0", "scope", "global"])).toBe("")
    expect(await pasta.guest.must(["ip", version, "route", "show", "default"])).toBe("")
    const request = { scenario: "download", bytes: 1000, seed: 1 }
    expect(await tcpClient(pasta.guest, other, request)).toMatchObject({ intact: true })
    await pasta.stop()
  },
)

test("the network works without `ip` being installed", async () => {
  // A PATH with only the interpreter, a shell and the harness's programs.
  const folder = temporaryFolder("path")
  mkdirSync(`${folder}/bin`)
  for (const tool of ["sh", "cat", "readlink"]) symlinkSync(`/bin/${tool}`, `${folder}/bin/${tool}`)
  symlinkSync(reachable(process.execPath), `${folder}/bin/node`)
  const pasta = await Pasta.start(topology, { path: `${folder}/bin` })
  for (const family of [ipv4, ipv6]) {
    const request = { scenario: "download", bytes: 1000, seed: 1 }
    expect(await tcpClient(pasta.guest, family, request)).toMatchObject({ intact: true })
  }
  await pasta.stop()
})

test("without --config-net, the interface is there and left alone", async () => {
  const { stdout } = await runPasta(topology.host, ["--", "ip", "-j", "addr", "show", "eth0"])
  const [link] = JSON.parse(stdout) as Link[]
  expect(link?.addr_info).toEqual([])
  expect(link?.flags).not.toContain("UP")
})
