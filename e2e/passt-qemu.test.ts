/** Virtual machines: a Linux guest under QEMU, from its lease to its services. */
import { afterAll, beforeAll, describe, expect } from "vitest"
import { useNameServer } from "./cases/names.ts"
import { testWith } from "./harness/machine.ts"
import { Passt } from "./harness/passt.ts"
import type { Place } from "./harness/places.ts"
import { eventually, type Program } from "./harness/processes.ts"
import { UDP_PORT, udpClient, useServer } from "./harness/servers.ts"
import { families, inUrl, ipv4, ipv6, overBoth, useTopology } from "./harness/topology.ts"
import { hashOf } from "./programs/pattern.mjs"
import { makeSystem, needed, type System, VirtualMachine } from "./qemu/virtual-machine.ts"

const HTTP_PORT = 8000
/** In whole blocks of 100 KiB; more than all buffers on the way hold. */
const BYTES = 150 * 102_400
const names = ["-D", ipv4.server, "-D", ipv6.server, "-S", "a.example b.example"]

const test = testWith(...needed)
const topology = useTopology()
useServer("udp-server", topology)
useNameServer(topology)

let system: System
let web: Program
beforeAll(async () => {
  const request = { listen: families.map(({ server }) => server), port: HTTP_PORT, folder: "/nowhere" }
  web = topology.world.startNode("http-server.mjs", request)
  await web.printed(/ready/)
  system = await makeSystem()
})
afterAll(() => web?.stop())

/** Address, route, MTU and resolver by DHCPv4, and an address by router advertisements. */
async function configure(machine: VirtualMachine): Promise<void> {
  await machine.must("ip link set eth0 up; udhcpc -i eth0 -n -q -t 10 -T 1 -O mtu -O search -s /etc/udhcpc")
  await eventually("an address by autoconfiguration", async () =>
    (await machine.run("ip -6 addr show dev eth0 scope global | grep -q inet6")).status === 0 ? true : undefined,
  )
}

/** The web server of a guest, with a file of random bytes; gives their hash. */
async function serve(machine: VirtualMachine, bytes: number): Promise<string> {
  await machine.must(
    `mkdir -p /www; dd if=/dev/urandom of=/www/file bs=100k count=${bytes / 102_400} 2> /dev/null; httpd -p 80 -h /www`,
  )
  return (await machine.must("sha256sum < /www/file")).slice(0, 64)
}

/** Fetches a guest's file from a place outside. */
const fetchHash = async (from: Place, url: string): Promise<string> =>
  (await from.shell(`curl -s -S '${url}' | sha256sum`)).slice(0, 64)

const bytesUrl = (address: string, bytes: number) => `http://${inUrl(address)}:${HTTP_PORT}/bytes/${bytes}`

describe("a guest", () => {
  let passt: Passt
  let machine: VirtualMachine
  beforeAll(async () => {
    passt = await Passt.start(topology, ["-t", "2280:80", "-u", `2201:${UDP_PORT}`, ...names])
    machine = await VirtualMachine.start(system, passt.socket)
    await configure(machine)
  })
  afterAll(async () => {
    await machine?.kill()
    await passt?.stop()
  })

  test("has the lease that the host's network gives", async () => {
    const told = await machine.must("cat /run/udhcpc.bound")
    for (const line of [`ip=${ipv4.host}`, "mask=24", `router=${ipv4.gateway}`, "mtu=65520", `dns=${ipv4.server}`]) {
      expect(told).toContain(`${line}\n`)
    }
    expect(told).toContain("search=a.example b.example")
    expect(await machine.must("ip addr show dev eth0")).toMatch(/mtu 65520 [\s\S]*inet 192\.0\.2\.2\/24 /)
    expect(await machine.must("ip route")).toContain(`default via ${ipv4.gateway} dev eth0`)
  })

  test("has an address and a route by router advertisements", async () => {
    expect(await machine.must("ip -6 addr show dev eth0")).toMatch(/inet6 2001:db8:1:0?:[0-9a-f:]+\/64 scope global/)
    expect(await machine.must("ip -6 route")).toMatch(/default via fe80:\S+ dev eth0/)
  })

  test("gets an address and name servers by DHCPv6", async () => {
    await machine.must(
      "touch /tmp/none; dhclient -6 -1 -sf /etc/dhclient -cf /tmp/none -lf /tmp/leases -pf /tmp/pid eth0",
    )
    const told = await machine.must("cat /run/dhclient.BOUND6")
    expect(told).toContain(`new_ip6_address=${ipv6.host}\n`)
    expect(told).toContain(`new_dhcp6_name_servers=${ipv6.server}\n`)
    expect(told).toContain("new_dhcp6_domain_search=a.example. b.example.\n")
  })

  test("resolves names with the name server that it was told", async () => {
    expect(await machine.must("nslookup host.example")).toContain("198.51.100.7")
  })

  overBoth((family) => {
    test("pings the world", async () => {
      const ping = family.version === 4 ? "ping" : "ping6"
      expect(await machine.must(`${ping} -c 3 -W 5 -s 1400 ${family.server}`)).toContain("3 packets received")
    })

    test("downloads 15 MB intact", async () => {
      const output = await machine.must(`wget -q -O - '${bytesUrl(family.server, BYTES)}' | sha256sum`)
      expect(output.slice(0, 64)).toBe(hashOf(1, BYTES))
    })

    test("uploads 15 MB intact", async () => {
      // busybox's wget would end what it posts at the first zero byte.
      const script = `dd if=/dev/urandom of=/tmp/data bs=100k count=${BYTES / 102_400} 2> /dev/null; sha256sum < /tmp/data
        (printf 'POST / HTTP/1.0\\r\\nContent-Length: ${BYTES}\\r\\n\\r\\n'; cat /tmp/data) |
          nc.openbsd ${family.server} ${HTTP_PORT} | tail -n 1; rm /tmp/data`
      const [sent, received] = (await machine.must(script)).split("\n")
      expect(received).toBe(sent?.slice(0, 64))
    })

    test("asks a UDP server of the world", async () => {
      const script = `echo hello | nc.openbsd -u -W 1 ${family.server} ${UDP_PORT}`
      expect(await machine.must(script)).toBe("hello\n")
    })

    test("answers over UDP through a forwarded port", async () => {
      const script = `rm -f /tmp/echo; mkfifo /tmp/echo
        (nc.openbsd -${family.version} -u -l ${UDP_PORT} < /tmp/echo | tee /tmp/echo) > /dev/null 2>&1 & echo $! > /tmp/echo.pid`
      await machine.must(script)
      const request = { scenario: "sizes", sizes: [10, 1400], address: family.loopback, port: 2201 }
      expect(await udpClient(topology.host, family, request)).toEqual({ intact: [10, 1400] })
      await machine.must("killall nc.openbsd")
    })
  })

  test("serves through a forwarded port, to the host and to the world", async () => {
    const hash = await serve(machine, BYTES)
    for (const family of families) {
      expect(await fetchHash(topology.host, `http://${inUrl(family.loopback)}:2280/file`)).toBe(hash)
      expect(await fetchHash(topology.world, `http://${inUrl(family.host)}:2280/file`)).toBe(hash)
    }
  })

  test("reboots, and is connected again by the same passt", async () => {
    await machine.reboot()
    await configure(machine)
    expect(await machine.must("cat /run/udhcpc.bound")).toContain(`ip=${ipv4.host}\n`)
    const hash = await serve(machine, 102_400)
    for (const family of families) {
      const output = await machine.must(`wget -q -O - '${bytesUrl(family.server, 1_000_000)}' | sha256sum`)
      expect(output.slice(0, 64)).toBe(hashOf(1, 1_000_000))
      expect(await fetchHash(topology.host, `http://${inUrl(family.loopback)}:2280/file`)).toBe(hash)
    }
  })

  test("is killed in the middle of transfers, and another one takes its place", async () => {
    const endless = `(wget -q -O /dev/null '${bytesUrl(ipv4.server, 1e12)}' &) > /dev/null 2>&1`
    const upload = "(cat /dev/zero | nc.openbsd 198.51.100.7 8000 &) > /dev/null 2>&1"
    /** Asked of the host: a guest that is so busy loses what is typed at its serial port. */
    const received = async (): Promise<number> =>
      Number(/eth0: *(\d+)/.exec(await topology.host.must(["cat", "/proc/net/dev"]))?.[1])
    const before = await received()
    await machine.must(`${endless}; ${upload}`)
    // More than any buffer takes: the guest takes part.
    await eventually("the transfer is under way", async () => {
      return (await received()) - before > 50_000_000 ? true : undefined
    })
    await machine.kill()
    machine = await VirtualMachine.start(system, passt.socket)
    await configure(machine)
    const output = await machine.must(`wget -q -O - '${bytesUrl(ipv6.server, 1_000_000)}' | sha256sum`)
    expect(output.slice(0, 64)).toBe(hashOf(1, 1_000_000))
  })
})

describe("two guests, each with its passt", () => {
  const passts: Passt[] = []
  const machines: VirtualMachine[] = []
  let hashes: readonly string[] = []
  beforeAll(async () => {
    for (const number of [1, 2]) {
      const passt = await Passt.start(topology, ["-t", `300${number}:80`])
      passts.push(passt)
      machines.push(await VirtualMachine.start(system, passt.socket, `52:54:00:12:34:0${number}`))
    }
    await Promise.all(machines.map(configure))
    // The address that a guest has chosen for itself is known once it was used; before that, connections go to the assigned one.
    await Promise.all(machines.map((machine) => machine.must(`ping6 -c 1 -W 5 ${ipv6.gateway}`)))
    hashes = await Promise.all(machines.map((machine) => serve(machine, BYTES / 10)))
  }, 240_000)
  afterAll(async () => {
    for (const machine of machines) await machine.kill()
    for (const passt of passts) await passt.stop()
  })

  overBoth((family) => {
    test("talk to each other through forwarded ports", async () => {
      const seen = await Promise.all(
        machines.map((machine, i) =>
          // To a guest, the gateway is the host's loopback.
          machine.must(`wget -q -O - 'http://${inUrl(family.gateway)}:300${2 - i}/file' | sha256sum`),
        ),
      )
      expect(seen.map((output) => output.slice(0, 64))).toEqual([hashes[1], hashes[0]])
    })
  })
})
