/** Real DHCP clients, and the kernel's own autoconfiguration, in a guest without configuration. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { dhclient, raise, udhcpc } from "./harness/dhcp-clients.ts"
import { reachable, temporaryFolder, testWith } from "./harness/machine.ts"
import type { Namespace } from "./harness/places.ts"
import { eventually, type Program } from "./harness/processes.ts"
import { tcpClient, useServer } from "./harness/servers.ts"
import { Connection } from "./harness/stand-in.ts"
import { ipv4, ipv6, useTopology } from "./harness/topology.ts"

const topology = useTopology()
useServer("tcp-server", topology)

const names = ["-D", "192.0.2.53", "-D", "2001:db8:1::53", "-S", "a.example b.example"]

/** A guest whose interface is up, but has no address yet. */
async function withGuest(
  options: readonly string[],
  body: (guest: Namespace, passt: Program) => Promise<void>,
  autoconfigure = false,
): Promise<void> {
  const connection = await Connection.start(topology, { options, unconfigured: true })
  try {
    await raise(connection.guest, autoconfigure)
    await body(connection.guest, connection.passt.program)
  } finally {
    await connection.stop()
  }
}

/** Parses the frames of a capture: a header of 24 bytes, then 16 before each frame, with its length. */
function frameLengths(capture: Buffer): number[] {
  const lengths: number[] = []
  for (let at = 24; at < capture.length; at += 16 + lengths[lengths.length - 1]) {
    lengths.push(capture.readUInt32LE(at + 8))
  }
  return lengths
}

const downloads = (guest: Namespace, family = ipv4) =>
  tcpClient(guest, family, { scenario: "download", bytes: 100_000, seed: 61 })

const more = ["mtu", "search", "hostname", "0x51"].flatMap((option) => ["-O", option])

describe("DHCPv4", () => {
  testWith("udhcpc")("udhcpc gets everything, and it works", () =>
    withGuest([...names, "-H", "sheep", "--fqdn", "sheep.example"], async (guest) => {
      const { lease } = await udhcpc(guest, ...more)
      expect(lease()).toMatchObject({
        ip: ipv4.host,
        mask: "24",
        router: ipv4.gateway,
        mtu: "65520",
        dns: "192.0.2.53",
        search: "a.example b.example",
        hostname: "sheep",
      })
      // The name in the encoding of domain names, behind flags and two reserved bytes.
      expect(lease().opt81).toMatch(/^..0000|^..ffff/)
      expect(lease().opt81).toContain(Buffer.from("sheep").toString("hex"))
      expect(await downloads(guest)).toMatchObject({ intact: true })
    }),
  )

  testWith("udhcpc")("options are obeyed", () =>
    withGuest(
      [...names, "--no-dhcp-dns", "--no-dhcp-search", "-a", "192.0.2.77/25", "-g", "192.0.2.3", "-m", "1400"],
      async (guest) => {
        const { lease } = await udhcpc(guest, ...more)
        expect(lease()).toMatchObject({ ip: "192.0.2.77", subnet: "255.255.255.128", router: "192.0.2.3", mtu: "1400" })
        expect(lease()).not.toHaveProperty("dns")
        expect(lease()).not.toHaveProperty("search")
        expect(lease()).not.toHaveProperty("hostname")
      },
    ),
  )

  testWith("udhcpc", "ping")(
    "a guest that doesn't ask for the MTU gets frames that every Ethernet card takes",
    async () => {
      const asked: Record<string, boolean> = {}
      for (const options of [[], ["-O", "mtu"]]) {
        const capture = join(temporaryFolder("capture"), "pcap")
        await withGuest([...names, "-p", capture], async (guest) => {
          await udhcpc(guest, ...options)
          // Its interface has an MTU of 1,500, and the request is in fragments.
          await guest.must(["ping", "-n", "-c", "1", "-s", "3000", "-W", "10", ipv4.server])
        })
        asked[options.join()] = frameLengths(readFileSync(capture)).some((length) => length > 1514)
      }
      expect(asked).toEqual({ "": false, "-O,mtu": true })
    },
  )

  testWith("udhcpc")("--no-dhcp answers nothing", () =>
    withGuest(["--no-dhcp"], async (guest) => {
      expect((await udhcpc(guest, "-t", "2")).result.status).not.toBe(0)
    }),
  )

  testWith("dhclient")("dhclient gets a lease", () =>
    withGuest(names, async (guest) => {
      expect((await dhclient(guest, "-4")).lease()).toMatchObject({
        new_ip_address: ipv4.host,
        new_subnet_mask: "255.255.255.0",
        new_routers: ipv4.gateway,
        new_interface_mtu: "65520",
        new_domain_name_servers: "192.0.2.53",
        new_domain_search: "a.example. b.example.",
      })
    }),
  )
})

testWith("dhclient")("dhclient -6 gets address, name servers and search list", () =>
  withGuest(names, async (guest) => {
    expect((await dhclient(guest, "-6")).lease()).toMatchObject({
      new_ip6_address: ipv6.host,
      new_dhcp6_name_servers: "2001:db8:1::53",
      new_dhcp6_domain_search: "a.example. b.example.",
    })
  }),
)

describe("router advertisements", () => {
  test("give the kernel an address, a default route and an MTU that work", () =>
    withGuest(
      ["-m", "1400"],
      async (guest) => {
        await eventually("an address by autoconfiguration", async () => {
          const address = await guest.must(["ip", "-6", "addr", "show", "eth0", "scope", "global", "dynamic"])
          return /inet6 2001:db8:1:.*\/64/.test(address) ? address : undefined
        })
        expect(await guest.must(["ip", "-6", "route"])).toMatch(/^default via fe80:\S+ dev eth0 proto ra/m)
        expect(await guest.must(["cat", "/proc/sys/net/ipv6/conf/eth0/mtu"])).toBe("1400\n")
        expect(await downloads(guest, ipv6)).toMatchObject({ intact: true })
      },
      true,
    ))

  testWith("python3")("say all that was configured", () =>
    withGuest(["-m", "1400", ...names], async (guest) => {
      const solicit = reachable(join(import.meta.dirname, "programs/router-solicitation.py"))
      expect(await guest.json(["/usr/bin/python3", solicit, "eth0", "60"])).toMatchObject({
        hopLimit: 64,
        mac: "9a:55:9a:55:9a:55",
        prefix: "2001:db8:1::/64",
        autonomous: true,
        mtu: 1400,
        dns: ["2001:db8:1::53"],
        search: ["a.example", "b.example"],
      })
    }),
  )
})

describe("the log", () => {
  testWith("udhcpc", "dhclient")("says who asked for what, and what the answer was", () =>
    withGuest(
      [],
      async (guest, passt) => {
        const [device] = await guest.json<{ address: string }[]>(["ip", "-j", "link", "show", "eth0"])
        const mac = device?.address
        await udhcpc(guest)
        await dhclient(guest, "-6")
        for (const line of [
          `New guest MAC address observed: ${mac}`,
          "NDP: received RS, sending RA",
          `DHCP: offer to discover from ${mac}`,
          `DHCP: ack to request from ${mac}`,
          `DHCPv6: received SOLICIT, sending ADVERTISE to ${mac}`,
          `DHCPv6: received REQUEST, sending REPLY to ${mac}`,
        ]) {
          await passt.printed(new RegExp(`^${line}$`, "m"), "stderr")
        }
      },
      true,
    ),
  )
})
