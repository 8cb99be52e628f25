/** A virtual machine: a Linux guest under QEMU, from its lease to its services. */
import { afterAll, beforeAll, expect } from "vitest"
import { testWith } from "../harness/machine.ts"
import { Passt } from "../harness/passt.ts"
import { UDP_PORT, udpClient, useServer } from "../harness/servers.ts"
import { families, inUrl, ipv4, ipv6, overBoth, type Topology } from "../harness/topology.ts"
import { hashOf } from "../programs/pattern.mjs"
import { BYTES, bytesUrl, configure, fetchHash, HTTP_PORT, serve, useGuestSystem } from "../qemu/guest.ts"
import { type MachineOptions, needed, VirtualMachine } from "../qemu/virtual-machine.ts"
import { useNameServer } from "./names.ts"

const names = ["-D", ipv4.server, "-D", ipv6.server, "-S", "a.example b.example"]

const test = testWith(...needed)

export function testVirtualMachine(topology: Topology, options: MachineOptions = {}): void {
  useServer("udp-server", topology)
  useNameServer(topology)
  const guests = useGuestSystem(topology)
  let passt: Passt
  let machine: VirtualMachine
  beforeAll(async () => {
    const mode = options.vhostUser === true ? ["--vhost-user"] : []
    passt = await Passt.start(topology, [...mode, "-t", "2280:80", "-u", `2201:${UDP_PORT}`, ...names])
    machine = await VirtualMachine.start(guests.system, { ...options, socket: passt.socket })
    await configure(machine)
  })
  afterAll(async () => {
    await machine?.kill()
    await passt?.stop()
  })

  test("has the lease that the host's network gives", async () => {
    const lease = await machine.must("cat /run/udhcpc.bound")
    for (const line of [`ip=${ipv4.host}`, "mask=24", `router=${ipv4.gateway}`, "mtu=65520", `dns=${ipv4.server}`]) {
      expect(lease).toContain(`${line}\n`)
    }
    expect(lease).toContain("search=a.example b.example")
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
    const lease = await machine.must("cat /run/dhclient.BOUND6")
    expect(lease).toContain(`new_ip6_address=${ipv6.host}\n`)
    expect(lease).toContain(`new_dhcp6_name_servers=${ipv6.server}\n`)
    expect(lease).toContain("new_dhcp6_domain_search=a.example. b.example.\n")
  })

  test("resolves names with the name server that it was given", async () => {
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
      // busybox's wget would end the posted data at the first zero byte.
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
}
