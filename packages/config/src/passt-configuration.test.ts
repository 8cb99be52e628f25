/** The configuration of passt's guest, and the messages to its user. */
import type { Address } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { parseCommandLine } from "./command-line.ts"
import { decodeConfiguration, encodeConfiguration } from "./encode.ts"
import { formatRule } from "./forwarding-plan.ts"
import { hostNetwork, usualHost } from "./host-facts.fixture.ts"
import { defaultSocketPaths, qemuHint } from "./hypervisor.ts"
import { dhcpv4Lease, dhcpv6Lease, ndpOptions } from "./plugin-options.ts"
import { type Resolution, resolveConfiguration } from "./resolve.ts"
import { summary } from "./summary.ts"

const RESOLV_CONF = "nameserver 185.12.64.1\nnameserver 185.12.64.2\n"

function attempt(
  argv: string,
  { network = usualHost(), resolvConf = RESOLV_CONF, localPortRange = "" } = {},
): Resolution {
  const parsed = parseCommandLine(argv.split(" ").filter(Boolean), "passt")
  if (parsed.kind !== "run") throw new Error(JSON.stringify(parsed))
  return resolveConfiguration(parsed.options, { network, resolvConf, localPortRange }, "passt")
}

function resolve(argv: string, facts: Parameters<typeof attempt>[1] = {}) {
  const resolution = attempt(argv, facts)
  if (resolution.kind === "error") throw new Error(resolution.message)
  return resolution.configuration
}

const notices = (argv: string, resolvConf?: string) => resolve(argv, { resolvConf }).notices.map(({ text }) => text)

describe("forwarding", () => {
  const rules = (argv: string, localPortRange?: string) => resolve(argv, { localPortRange }).forwarding.map(formatRule)

  test("is what was asked for, none by default; UDP doesn't follow TCP", () => {
    expect(rules("")).toEqual([])
    expect(rules("-t none -u none")).toEqual([])
    expect(rules("-t 2222:22 -u 53")).toEqual(["TCP [*]:2222  =>  22", "UDP [*]:53  =>  53"])
  })

  test("leaves out ephemeral ports of the host, as it has them", () => {
    expect(rules("-t all")).toEqual([
      "TCP [*]:1-32767  =>  1-32767  (best effort)",
      "TCP [*]:61000-65535  =>  61000-65535  (best effort)",
    ])
    expect(rules("-t all", "1024\t65535\n")).toEqual(["TCP [*]:1-1023  =>  1-1023  (best effort)"])
    expect(rules("-t all", "9 8\n")).toEqual(rules("-t all"))
  })

  test("is for the versions of IP that are on, and for those only", () => {
    expect(rules("-4 -t 22")).toEqual(["TCP [0.0.0.0]:22  =>  22"])
    expect(rules("-6 -t 22")).toEqual(["TCP [::]:22  =>  22"])
    // IPv6 is off, as the MTU is too small for it.
    expect(rules("-m 1000 -t 22")).toEqual(["TCP [0.0.0.0]:22  =>  22"])
    expect(attempt("-t ::1/22 -4")).toEqual({ kind: "error", message: "IPv6 is off, but '-t ::1/22' is for IPv6" })
  })

  test("binds freely wherever --freebind is given", () => {
    const freebind = (argv: string) => resolve(argv).forwarding.map((rule) => rule.freebind)
    expect([freebind("-t 22"), freebind("-t 22 --freebind"), freebind("--freebind -t 22 -u 22")]).toEqual([
      [false],
      [true],
      [true, true],
    ])
  })

  test("of a protocol that is off is left out, with a warning", () => {
    expect(rules("--no-tcp -t 22 -u 53")).toEqual(["UDP [*]:53  =>  53"])
    expect(rules("-u 53 --no-udp")).toEqual([])
    expect(notices("--no-tcp --no-udp -t 22 -u 53")).toEqual(
      expect.arrayContaining(["TCP is off: -t has no effect", "UDP is off: -u has no effect"]),
    )
  })

  test("that contradicts itself is an error", () => {
    expect(attempt("-t 22 -t 22")).toEqual({
      kind: "error",
      message: "Overlapping port specifier 22: '-t 22' forwards port 22 already",
    })
  })
})

describe("the hypervisor and the log", () => {
  test("are as asked for", () => {
    expect(resolve("")).toMatchObject({
      hypervisor: { socketPath: undefined, descriptor: undefined, isVhostUser: false, oneOff: false },
      namespace: undefined,
      logFile: undefined,
      statisticsInterval: undefined,
    })
    expect(resolve("-F 3 -l /x --stats 5")).toMatchObject({
      hypervisor: { socketPath: undefined, descriptor: 3, isVhostUser: false, oneOff: true },
      logFile: { path: "/x", maximumSize: 1_048_576 },
      statisticsInterval: 5,
    })
    expect(resolve("--vhost-user -s /y -1").hypervisor).toEqual({
      socketPath: "/y",
      descriptor: undefined,
      isVhostUser: true,
      oneOff: true,
    })
    expect(resolve("-s /y -l /x --log-size 50000")).toMatchObject({
      hypervisor: { socketPath: "/y" },
      logFile: { path: "/x", maximumSize: 50_000 },
    })
  })

  test("the hint for QEMU names the socket, as QEMU reads it", () => {
    const paths = defaultSocketPaths()
    expect([paths.length, paths[0], paths[63]]).toEqual([64, "/tmp/passt_1.socket", "/tmp/passt_64.socket"])
    expect(qemuHint("/tmp/passt_1.socket", false)[1]).toBe(
      "    kvm ... -device virtio-net-pci,netdev=s -netdev stream,id=s,server=off,addr.type=unix,addr.path=/tmp/passt_1.socket",
    )
    expect(qemuHint("/tmp/a,b", false)[1]).toMatch(/addr\.path=\/tmp\/a,,b$/)
    expect(qemuHint("/tmp/a,b", true)[2]).toBe(
      "      -chardev socket,id=s,path=/tmp/a,,b -netdev vhost-user,id=n,chardev=s -device virtio-net-pci,netdev=n",
    )
  })
})

describe("what is announced to the guest", () => {
  const names = (argv: string) => {
    const configuration = resolve(argv, { resolvConf: `${RESOLV_CONF}nameserver 2001:db8::53\nsearch a.example\n` })
    const { v4, v6 } = configuration
    const lists = [
      dhcpv4Lease(configuration),
      dhcpv6Lease(configuration),
      ndpOptions(configuration)?.routerAdvertisement,
    ].map((options) => options && { servers: options.nameServers, domains: options.searchDomains })
    return { lists, servers: [v4?.nameServers, v6?.nameServers, v6?.nameServers] as (readonly Address[])[] }
  }

  test("are name servers and search domains, by DHCP, DHCPv6 and NDP", () => {
    const { lists, servers } = names("")
    expect(lists).toEqual(servers.map((ofVersion) => ({ servers: ofVersion, domains: ["a.example"] })))
    expect(servers.map(String)).toEqual(["185.12.64.1,185.12.64.2", "2001:db8::53", "2001:db8::53"])
  })

  test("unless it isn't to be", () => {
    expect(names("--no-dhcp-dns").lists).toEqual(Array(3).fill({ servers: [], domains: ["a.example"] }))
    expect(names("--no-dhcp-search").lists).toEqual(names("").servers.map((servers) => ({ servers, domains: [] })))
    expect(names("--no-ra --no-dhcp --no-dhcpv6").lists).toEqual([undefined, undefined, undefined])
  })

  test("are the host name, the full name and the MTU", () => {
    const configuration = resolve("-H guest --fqdn guest.example -m 1400")
    expect(dhcpv4Lease(configuration)).toMatchObject({ hostname: "guest", fqdn: "guest.example", mtu: 1400 })
    expect(dhcpv6Lease(configuration)).toMatchObject({ fqdn: "guest.example" })
    expect(ndpOptions(configuration)?.routerAdvertisement).toMatchObject({ mtu: 1400 })
  })

  test("is the router, also one that isn't on the guest's link", () => {
    expect(dhcpv4Lease(resolve("-a 10.0.0.5/32 -g 192.0.2.1"))).toMatchObject({
      prefixLength: 32,
      gateway: expect.objectContaining({ word3: 0xc0000201 | 0 }),
    })
  })

  test("is a resolver that the gateway's mapping would shadow", () => {
    const { v4 } = resolve("", { resolvConf: "nameserver 192.0.2.53\nnameserver 88.198.0.161\n" })
    expect([v4?.mapHostLoopback, v4?.dnsForward, v4?.dnsHost].join()).toBe("88.198.0.161,88.198.0.161,192.0.2.53")
  })
})

describe("notices", () => {
  test("report name servers that are missing", () => {
    expect(notices("")).toEqual(["No IPv6 nameserver available for NDP/DHCPv6"])
    expect(notices("--no-ndp")).toEqual(["No IPv6 nameserver available for DHCPv6"])
    expect(notices("", "nameserver 2001:db8::53\n")).toEqual(["No IPv4 nameserver available for DHCP"])
  })

  test.each(["-4", "--no-dhcp-dns", "-D none", "-D 2001:db8::53 -6", "--no-ndp --no-dhcpv6"])(
    "don't with %s",
    (argv) => {
      expect(notices(argv)).toEqual([])
    },
  )
})

describe("the summary", () => {
  test("is that of the manual's example", () => {
    const network = hostNetwork(
      ["lo", "enp9s0"],
      [
        { dev: "enp9s0", address: "88.198.0.164/27" },
        { dev: "enp9s0", address: "2a01:4f8:222:904::2/64" },
      ],
      [
        { to: "default", dev: "enp9s0", via: "88.198.0.161" },
        { to: "default", dev: "enp9s0", via: "fe80::1" },
      ],
    )
    expect(summary(resolve("-f -t 2222:22", { network }))).toEqual([
      "Template interface: enp9s0 (IPv4), enp9s0 (IPv6)",
      "MAC:",
      "    host: 9a:55:9a:55:9a:55",
      "    NAT to host 127.0.0.1: 88.198.0.161",
      "DHCP:",
      "    assign: 88.198.0.164",
      "    mask: 255.255.255.224",
      "    router: 88.198.0.161",
      "DNS:",
      "    185.12.64.1",
      "    185.12.64.2",
      "    NAT to host ::1: fe80::1",
      "NDP/DHCPv6:",
      "    assign: 2a01:4f8:222:904::2",
      "    router: fe80::1",
      "    our link-local: fe80::1",
      "Inbound forwarding rules (HOST):",
      "    TCP [*]:2222  =>  22",
    ])
  })
})

test("a configuration survives encoding", () => {
  const configuration = resolve("-t 192.0.2.1%eth0/22:192.0.2.5/23,~24 -u all -s /x -l /y --stats 2")
  const decoded = decodeConfiguration(encodeConfiguration(configuration))
  expect(decoded).toEqual(configuration)
  expect(decoded.forwarding.map(formatRule)).toEqual(configuration.forwarding.map(formatRule))
})
