/** The configuration of pasta's namespace, its connection, and the messages to its user. */
import { Interface } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { parseCommandLine } from "./command-line.ts"
import { formatRule } from "./forwarding-plan.ts"
import { forwardingRules } from "./forwarding-rules.ts"
import { hostNetwork, usualHost } from "./host-facts.fixture.ts"
import { type Resolution, resolveConfiguration } from "./resolve.ts"
import { runsInBackground, showsSummary } from "./running.ts"
import { summary } from "./summary.ts"

const NO_PORTS = "-t none -u none -T none -U none"

function attempt(argv: string, network = usualHost()): Resolution {
  const parsed = parseCommandLine(argv.split(" ").filter(Boolean), "pasta")
  if (parsed.kind !== "run") throw new Error(JSON.stringify(parsed))
  const resolvConf = "nameserver 185.12.64.1\nnameserver 185.12.64.2\n"
  return resolveConfiguration(parsed.options, { network, resolvConf }, "pasta")
}

function resolve(argv: string, network = usualHost()) {
  const resolution = attempt(argv, network)
  if (resolution.kind === "error") throw new Error(resolution.message)
  return resolution.configuration
}

const notices = (argv: string) => resolve(argv).notices.map(({ text }) => text)

describe("forwarding", () => {
  const rules = (argv: string) => resolve(argv).forwarding.map(formatRule)
  const automatic = (protocol: string, from: string) => [
    `${protocol} ${from}:1-32767  =>  1-32767  (best effort) (auto-scan)`,
    `${protocol} ${from}:61000-65535  =>  61000-65535  (best effort) (auto-scan)`,
  ]

  test("is of what is bound, both ways, by default", () => {
    expect(rules("")).toEqual([
      ...automatic("TCP", "[*]"),
      ...automatic("UDP", "[*]"),
      ...automatic("TCP", "[*]%lo"),
      ...automatic("UDP", "[*]%lo"),
    ])
    expect(rules("-t auto -u auto -T auto -U auto")).toEqual(rules(""))
    expect(resolve("").forwarding.map((rule) => rule.interface)).toEqual([
      ...Array(4).fill(Interface.host),
      ...Array(4).fill(Interface.splice),
    ])
  })

  test("is as asked for where it is asked for, and only there", () => {
    expect(rules(NO_PORTS)).toEqual([])
    expect(rules(`${NO_PORTS.replace("-t none", "-t 2222:22")}`)).toEqual(["TCP [*]:2222  =>  22"])
    expect(rules("-t none -T none")).toEqual([...automatic("UDP", "[*]"), ...automatic("UDP", "[*]%lo")])
    expect(rules("-t 22 -u none -U none -T 80,auto")).toEqual([
      "TCP [*]:22  =>  22",
      "TCP [*]%lo:80  =>  80  (best effort) (auto-scan)",
    ])
  })

  test("into the namespace alone is there by itself with --no-host, and back as asked for", () => {
    expect(rules("--no-host")).toEqual([...automatic("TCP", "[*]"), ...automatic("UDP", "[*]")])
    expect(rules("--no-host -t none -u none -T 80")).toEqual(["TCP [*]%lo:80  =>  80"])
    expect(rules("-U auto --no-host -t none -u none")).toEqual(automatic("UDP", "[*]%lo"))
  })

  test("of UDP follows what TCP is bound to by auto, not by ports given for TCP", () => {
    expect(rules("-t 5001 -T none -U none")).toEqual(["TCP [*]:5001  =>  5001", ...automatic("UDP", "[*]")])
    expect(rules("-t 5001 -u none -T none -U none")).toEqual(["TCP [*]:5001  =>  5001"])
  })

  test("is for the versions of IP that are on", () => {
    expect(rules("-4 -u none -T none")).toEqual([...automatic("TCP", "[0.0.0.0]"), ...automatic("UDP", "[0.0.0.0]%lo")])
    expect(attempt("-6 -T 127.0.0.1/22")).toMatchObject({ message: "IPv4 is off, but '-T 127.0.0.1/22' is for IPv4" })
  })

  test("of a protocol that is off is left out; with a warning if it was asked for", () => {
    expect(rules("--no-tcp")).toEqual([...automatic("UDP", "[*]"), ...automatic("UDP", "[*]%lo")])
    expect(rules("--no-tcp --no-udp -t 22")).toEqual([])
    const about = (argv: string) => notices(argv).filter((text) => text.includes("is off"))
    expect(about("--no-tcp --no-udp -t 22 -U auto -u none")).toEqual([
      "TCP is off: -t has no effect",
      "UDP is off: -U has no effect",
    ])
    expect(about("--no-tcp --no-udp")).toEqual([])
  })

  test.each([
    ["-t 22:127.0.0.1 --no-splice", "Invalid port specifier 22:127.0.0.1: 127.0.0.1 can't be reached with --no-splice"],
    ["-u all:::1 --no-splice", "Invalid port specifier all:::1: ::1 can't be reached with --no-splice"],
    [
      "-t 22:10.0.0.1 --splice-only",
      "Invalid port specifier 22:10.0.0.1: 10.0.0.1 can't be reached with --splice-only",
    ],
  ])("leads only where the way isn't closed: %s", (argv, message) => {
    expect(attempt(argv)).toEqual({ kind: "error", message })
  })

  test.each(["-t 22:127.0.0.1 --splice-only", "-t 22:10.0.0.1 --no-splice", "-T 22:127.0.0.1 --no-splice"])(
    "leads where the way is open: %s",
    (argv) => {
      expect(attempt(argv)).toMatchObject({ kind: "configuration" })
    },
  )
})

describe("the local path", () => {
  test.each([
    ["", { takesFromHost: true, keepsLoopback: false, isOnly: false }],
    ["--host-lo-to-ns-lo", { takesFromHost: true, keepsLoopback: true, isOnly: false }],
    ["--no-splice", { takesFromHost: false, keepsLoopback: false, isOnly: false }],
    ["--splice-only", { takesFromHost: true, keepsLoopback: true, isOnly: true }],
  ])("%s", (argv, expected) => {
    expect(resolve(argv).splicing).toEqual(expected)
    expect(forwardingRules(resolve(argv)).splicing).toEqual(expected)
  })

  test("alone needs no tap interface, and nothing that speaks on it", () => {
    const { protocols, namespace } = resolve("--splice-only --config-net")
    expect(protocols).toEqual({
      tcp: true,
      udp: true,
      icmp: false,
      dhcp: false,
      dhcpv6: false,
      ndp: false,
      routerAdvertisements: false,
    })
    expect(namespace?.network).toBeUndefined()
    expect(notices("--splice-only --config-net")).toContain("There is no tap interface: --config-net has no effect")
    expect(notices("--splice-only")).not.toContain("There is no tap interface: --config-net has no effect")
  })
})

describe("the namespace", () => {
  test.each([
    ["", { kind: "new", userNamespace: { kind: "new" }, hasPidNamespace: true }],
    ["--no-pidns ls", { kind: "new", userNamespace: { kind: "new" }, hasPidNamespace: false }],
    ["--netns-only ls", { kind: "new", userNamespace: { kind: "current" }, hasPidNamespace: true }],
    ["--userns /u ls", { kind: "new", userNamespace: { kind: "path", path: "/u" }, hasPidNamespace: true }],
    ["12", { kind: "process", processId: 12, userNamespace: "/proc/12/ns/user" }],
    ["--userns /u 12", { kind: "process", processId: 12, userNamespace: "/u" }],
    ["--netns-only 12", { kind: "process", processId: 12, userNamespace: undefined }],
    ["--netns blue", { kind: "path", path: "/run/netns/blue", userNamespace: undefined }],
    ["--netns-only --netns /n", { kind: "path", path: "/n", userNamespace: undefined }],
    ["--netns /n --userns /u", { kind: "path", path: "/n", userNamespace: "/u" }],
  ])("is that of: %s", (argv, target) => {
    expect(resolve(argv).namespace).toMatchObject({ target, quitsWithNamespace: true })
    expect(resolve(`--no-netns-quit ${argv}`).namespace).toMatchObject({ target, quitsWithNamespace: false })
  })

  test.each([
    ["", false, false],
    ["ls", false, false],
    ["-d ls", false, true],
    ["--trace ls", false, true],
    ["12", true, true],
    ["--netns x", true, true],
    ["-f 12", false, true],
    ["-q 12", true, false],
    ["-q -d 12", true, true],
    ["--netns x -f -q", false, false],
  ])("%s: in the background %s, with a summary %s", (argv, inBackground, isReported) => {
    const configuration = resolve(argv)
    expect([runsInBackground(configuration), showsSummary(configuration)]).toEqual([inBackground, isReported])
  })
})

describe("the summary", () => {
  const RULES = [
    "Inbound forwarding rules (HOST):",
    "    TCP [*]:1-32767  =>  1-32767  (best effort) (auto-scan)",
    "    TCP [*]:61000-65535  =>  61000-65535  (best effort) (auto-scan)",
    "    UDP [*]:1-32767  =>  1-32767  (best effort) (auto-scan)",
    "    UDP [*]:61000-65535  =>  61000-65535  (best effort) (auto-scan)",
    "Outbound forwarding rules (SPLICE):",
    "    TCP [*]%lo:1-32767  =>  1-32767  (best effort) (auto-scan)",
    "    TCP [*]%lo:61000-65535  =>  61000-65535  (best effort) (auto-scan)",
    "    UDP [*]%lo:1-32767  =>  1-32767  (best effort) (auto-scan)",
    "    UDP [*]%lo:61000-65535  =>  61000-65535  (best effort) (auto-scan)",
  ]

  test("is that of the manual's example", () => {
    expect(summary(resolve("--config-net 1295969"))).toEqual([
      "Template interface: eth0 (IPv4), eth0 (IPv6)",
      "Namespace interface: eth0",
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
      "    assign: 2001:db8:222:904::2",
      "    router: fe80::1",
      "    our link-local: fe80::1",
      ...RULES,
    ])
  })

  test("is of rules alone without a tap interface", () => {
    expect(summary(resolve("--splice-only"))).toEqual(RULES)
    expect(summary(resolve(`--splice-only ${NO_PORTS}`))).toEqual([])
  })
})

describe("--config-net copies", () => {
  const host = () =>
    hostNetwork(
      ["lo", "eth0", "wlan0"],
      [
        { dev: "eth0", address: "10.0.0.5/24" },
        { dev: "eth0", address: "10.1.0.5/16", flags: 0x280 },
        { dev: "eth0", address: "2001:db8:1::5/64" },
        { dev: "eth0", address: "2001:db8:2::5/48" },
        { dev: "eth0", address: "fe80::5/64" },
        { dev: "wlan0", address: "10.2.0.5/24" },
      ],
      [
        { to: "default", dev: "eth0", via: "10.0.0.1", metric: 100 },
        { to: "default", dev: "eth0", via: "10.0.0.2", metric: 200 },
        { to: "default", hops: [{ dev: "wlan0", via: "10.2.0.1" }], metric: 300 },
        { to: "10.9.0.0/16", dev: "eth0", via: "192.0.2.1", flags: 4, metric: 5 },
        {
          to: "10.8.0.0/16",
          hops: [
            { dev: "eth0", via: "10.0.0.3", weight: 3 },
            { dev: "eth0", via: "10.0.0.4", weight: 7 },
          ],
        },
        { to: "10.0.0.0/24", dev: "eth0", source: "10.0.0.5", protocol: 2 },
        { to: "10.66.0.0/16", dev: "eth0", via: "10.0.0.1", table: 100 },
        { to: "2001:db8:7::/48", dev: "eth0", via: "fe80::7", metric: 7 },
        {
          to: "default",
          isV4: false,
          hops: [
            { dev: "eth0", via: "fe80::1" },
            { dev: "eth0", via: "2001:db8:1::1" },
          ],
        },
        { to: "2001:db8:1::/64", dev: "eth0", metric: 256, protocol: 2 },
      ],
    )
  const network = (argv: string) => {
    const setUp = resolve(`--config-net ${argv}`, host()).namespace?.network
    return {
      addresses: setUp?.addresses.map((entry) => `${entry.address}/${entry.prefixLength}`),
      flags: setUp?.addresses.map((entry) => entry.flags),
      routes: setUp?.routes.map((route) => {
        const to = route.prefix === undefined ? "default" : `${route.prefix}/${route.prefixLength}`
        const hops = route.nextHops.map((hop) => `${hop.gateway ?? "link"}*${hop.weight}${hop.flags === 4 ? "!" : ""}`)
        return `${to} ${hops.join(" ")} ${route.metric ?? "-"}`
      }),
    }
  }

  test("every address of the interface, in an order that the kernel then lists as on the host", () => {
    const { addresses, flags } = network("")
    expect(addresses).toEqual(["10.0.0.5/24", "10.1.0.5/16", "2001:db8:2::5/48", "2001:db8:1::5/64"])
    // 0x200: the host has no route to its prefix; 0x02: no duplicate address detection, so that it is usable at once.
    expect(flags).toEqual([0, 0x200, 0x202, 0x02])
  })

  test("what the forwarding policy knows for the guest's: nobody else can appear to it under these", () => {
    const setUp = (argv: string) => {
      const { v4, v6 } = forwardingRules(resolve(`--config-net ${argv}`, host()))
      return [v4, v6].map((family) => family?.addressesSetUp?.join())
    }
    expect(setUp("")).toEqual(["10.0.0.5,10.1.0.5", "2001:db8:2::5,2001:db8:1::5"])
    expect(setUp("-a 10.0.0.9")).toEqual(["10.0.0.9", "2001:db8:2::5,2001:db8:1::5"])
    expect(setUp("--no-copy-addrs")).toEqual(["10.0.0.5", "2001:db8:1::5"])
  })

  test("every route of the main table, with metrics and next hops, in an order in which gateways can be reached", () => {
    expect(network("").routes).toEqual([
      "default 10.0.0.1*1 100",
      "default 10.0.0.2*1 200",
      "10.9.0.0/16 192.0.2.1*1! 5",
      "10.8.0.0/16 10.0.0.3*3 10.0.0.4*7 -",
      "2001:db8:7::/48 fe80::7*1 7",
      "default fe80::1*1 2001:db8:1::1*1 -",
    ])
  })

  test("for each version apart: -a and -g leave those of the other alone", () => {
    expect(network("-a 2001:db8:9::9").addresses).toEqual(["10.0.0.5/24", "10.1.0.5/16", "2001:db8:9::9/64"])
    expect(network("-g fe80::9").routes?.slice(4)).toEqual(["default fe80::9*1 -"])
    expect(network("-g fe80::9").routes).toHaveLength(5)
  })

  test("one address and one route of each version on demand", () => {
    expect(network("--no-copy-addrs --no-copy-routes")).toMatchObject({
      addresses: ["10.0.0.5/24", "2001:db8:1::5/64"],
      routes: ["default 10.0.0.1*1 -", "default fe80::1*1 -"],
    })
  })
})
