import type { HostNetwork, Route } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { parseCommandLine } from "./command-line.ts"
import type { Configuration } from "./configuration.ts"
import { hostNetwork, NO_NETWORK, usualHost } from "./host-facts.fixture.ts"
import type { Program } from "./options.ts"
import { resolveConfiguration } from "./resolve.ts"

function resolve(
  argv: string,
  { network = usualHost(), resolvConf = "", program = "pasta" as Program } = {},
): Configuration {
  const resolution = attempt(argv, network, resolvConf, program)
  if (resolution.kind === "error") throw new Error(resolution.message)
  return resolution.configuration
}

function attempt(argv: string, network: HostNetwork = usualHost(), resolvConf = "", program: Program = "pasta") {
  const parsed = parseCommandLine(argv.split(" ").filter(Boolean), program)
  if (parsed.kind !== "run") throw new Error(JSON.stringify(parsed))
  return resolveConfiguration(parsed.options, { network, resolvConf }, program)
}

const twoInterfaces = () =>
  hostNetwork(
    ["lo", "eth0", "wlan0"],
    [
      { dev: "eth0", address: "10.0.0.5/24" },
      { dev: "wlan0", address: "192.168.7.5/16" },
      { dev: "wlan0", address: "2001:db8::5/64" },
      { dev: "wlan0", address: "fe80::5/64" },
    ],
    [
      { to: "10.0.0.0/24", dev: "eth0" },
      { to: "192.168.0.0/16", dev: "wlan0" },
      { to: "fe80::/64", dev: "eth0" },
      { to: "2001:db8::/64", dev: "wlan0" },
    ],
  )

describe("template interface", () => {
  test("is the one with the first default route, for each version of IP", () => {
    const network = hostNetwork(
      ["lo", "eth0", "wlan0"],
      [
        { dev: "eth0", address: "10.0.0.5/24" },
        { dev: "wlan0", address: "192.168.7.5/16" },
        { dev: "eth0", address: "2001:db8::5/64" },
      ],
      [
        { to: "192.168.0.0/16", dev: "wlan0" },
        { to: "default", dev: "eth0", via: "10.0.0.1" },
        { to: "default", dev: "wlan0", via: "192.168.0.1" },
        { to: "default", dev: "eth0", via: "fe80::1" },
      ],
    )
    const { v4, v6, namespace } = resolve("", { network })
    expect([v4?.template, v6?.template, namespace?.interfaceName]).toEqual(["eth0", "eth0", "eth0"])
    expect(String(v4?.gateway)).toBe("10.0.0.1")
  })

  test("without default route is the first one with any route, link-local ones aside, and has no gateway", () => {
    const { v4, v6, protocols, namespace } = resolve("", { network: twoInterfaces() })
    expect([v4?.template, v6?.template, namespace?.interfaceName]).toEqual(["eth0", "wlan0", "eth0"])
    expect([v4?.gateway, v6?.gateway, v4?.mapHostLoopback, v6?.mapHostLoopback]).toEqual(Array(4).fill(undefined))
    expect(protocols.dhcp).toBe(false)
    expect(String(v6?.ourLinkLocal)).toBe("fe80::5")
  })

  test("is the one of -i, else the one of --outbound-if4 and --outbound-if6", () => {
    const network = twoInterfaces()
    expect(resolve("-i wlan0", { network }).v4?.template).toBe("wlan0")
    expect(resolve("--outbound-if4 wlan0", { network }).v4).toMatchObject({
      template: "wlan0",
      outboundInterface: "wlan0",
    })
    expect(resolve("--outbound-if4 wlan0", { network }).v6).toEqual(resolve("", { network }).v6)
    const both = resolve("-i eth0 --outbound-if4 wlan0", { network }).v4
    expect(both).toMatchObject({ template: "eth0", outboundInterface: "wlan0" })
    expect(resolve("", { network }).v4?.outboundInterface).toBeUndefined()
  })

  test("without an address of the version means local mode with -i, and is an error with --outbound-if", () => {
    const network = twoInterfaces()
    const { v4, v6 } = resolve("-i eth0", { network })
    expect([v4?.template, v6?.template, v6?.guestAddress]).toEqual(["eth0", undefined, undefined])
    expect(attempt("--outbound-if6 eth0", network)).toMatchObject({ kind: "error" })
    expect(attempt("-4 --outbound-if6 eth0", network)).toMatchObject({ kind: "configuration" })
  })

  test.each(["-i nope", "--outbound-if4 nope", "--outbound-if6 nope", "--dns-host fe80::1%nope"])(
    "that isn't there is an error: %s",
    (argv) => {
      expect(attempt(argv)).toEqual({ kind: "error", message: expect.stringContaining("nope") })
    },
  )

  test("gives the address that the host itself would use", () => {
    const addresses = [
      { dev: "eth0", address: "10.0.0.9/24", flags: 0x01 },
      { dev: "eth0", address: "10.0.0.5/24" },
      { dev: "eth0", address: "10.0.0.6/24" },
      { dev: "eth0", address: "2001:db8::a/64", flags: 0x20 },
      { dev: "eth0", address: "2001:db8::b/64", flags: 0x01 },
      { dev: "eth0", address: "2001:db8::c/64", flags: 0x40 },
      { dev: "eth0", address: "2001:db8::d/128" },
    ]
    const routes = [
      { to: "default", dev: "eth0", via: "10.0.0.1" },
      { to: "default", dev: "eth0", via: "fe80::1" },
    ]
    const { v4, v6 } = resolve("", { network: hostNetwork(["lo", "eth0"], addresses, routes) })
    expect([v4?.guestAddress, v6?.guestAddress].join()).toBe("10.0.0.5,2001:db8::d")
    const sources = [{ ...routes[0], source: "10.0.0.6" }, routes[1]]
    const chosen = resolve("", { network: hostNetwork(["lo", "eth0"], addresses, sources) })
    expect(String(chosen.v4?.guestAddress)).toBe("10.0.0.6")
  })
})

describe("addresses", () => {
  test("are those of the host", () => {
    const { v4, v6 } = resolve("")
    expect([v4?.guestAddress, v4?.prefixLength, v4?.gateway].join()).toBe("88.198.0.164,27,88.198.0.161")
    expect([v6?.guestAddress, v6?.prefixLength, v6?.gateway, v6?.ourLinkLocal].join()).toBe(
      "2001:db8:222:904::2,64,fe80::1,fe80::1",
    )
  })

  test.each([
    ["-a 10.1.2.3", 8],
    ["-a 172.16.0.1", 16],
    ["-a 192.0.2.1", 24],
    ["-a 240.0.0.1", 32],
    ["-a 10.1.2.3/30", 30],
    ["-a 10.1.2.3 -n 255.255.0.0", 16],
    ["-n 8", 8],
  ])("prefix length of %s", (argv, prefixLength) => {
    expect(resolve(argv).v4?.prefixLength).toBe(prefixLength)
  })

  test("a prefix length given for IPv6 is overridden by 64", () => {
    expect(resolve("-a 2001:db8::7/48").v6?.prefixLength).toBe(64)
  })

  test("a multipath default route: the first next hop of the highest weight", () => {
    const network = hostNetwork(
      ["lo", "eth0", "wlan0"],
      [
        { dev: "eth0", address: "10.0.0.5/24" },
        { dev: "wlan0", address: "10.1.0.5/24" },
      ],
      [
        {
          to: "default",
          hops: [
            { dev: "wlan0", via: "10.1.0.1", weight: 1 },
            { dev: "eth0", via: "10.0.0.1", weight: 5 },
            { dev: "eth0", via: "10.0.0.2", weight: 5 },
          ],
        },
      ],
    )
    const { v4 } = resolve("", { network })
    expect([v4?.template, v4?.gateway].join()).toBe("eth0,10.0.0.1")
  })

  test("a global gateway can't send router advertisements: the host's link-local address stands in", () => {
    const { v6 } = resolve("-g 2001:db8:222:904::1")
    expect([v6?.gateway, v6?.ourLinkLocal].join()).toBe("2001:db8:222:904::1,fe80::5054:ff:fe12:3456")
    expect(String(resolve("-g fe80::77").v6?.ourLinkLocal)).toBe("fe80::77")
  })

  test("local mode: link-local addresses, and the gateway leads to the host", () => {
    const { v4, v6, namespace, protocols, notices } = resolve("--config-net", { network: NO_NETWORK })
    expect([v4?.guestAddress, v4?.prefixLength, v4?.gateway, v4?.mapHostLoopback].join()).toBe(
      "169.254.2.1,16,169.254.2.2,169.254.2.2",
    )
    expect([v6?.guestAddress, v6?.gateway, v6?.ourLinkLocal].join()).toBe(",fe80::1,fe80::1")
    expect(namespace?.interfaceName).toBe("tap0")
    expect(protocols.dhcp).toBe(true)
    expect(notices).toHaveLength(2)
    expect(namespace?.network?.addresses).toHaveLength(1)
    expect(namespace?.network?.routes.map((route) => String(route.nextHops[0].gateway))).toEqual([
      "169.254.2.2",
      "fe80::1",
    ])
  })

  test("local mode yields to what the user says", () => {
    const { v4, v6 } = resolve("-a 192.0.2.7 -g 192.0.2.1 -a 2001:db8::7 -I net", { network: NO_NETWORK })
    expect([v4?.guestAddress, v4?.gateway, v4?.prefixLength, v6?.guestAddress].join()).toBe(
      "192.0.2.7,192.0.2.1,24,2001:db8::7",
    )
  })
})

describe("switches", () => {
  test("-4 and -6 leave one version", () => {
    expect(resolve("-4").v6).toBeUndefined()
    expect(resolve("-6").v4).toBeUndefined()
    expect(resolve("-6").protocols.dhcp).toBe(false)
    expect(resolve("-4").protocols).toMatchObject({ ndp: false, dhcpv6: false, routerAdvertisements: false })
  })

  test("--no-icmp implies --no-ndp, which ends router advertisements", () => {
    expect(resolve("--no-icmp").protocols).toMatchObject({ icmp: false, ndp: false, routerAdvertisements: false })
    expect(resolve("--no-ra").protocols).toMatchObject({ ndp: true, routerAdvertisements: false })
    expect(resolve("--no-tcp --no-udp --no-dhcp --no-dhcpv6").protocols).toEqual({
      tcp: false,
      udp: false,
      icmp: true,
      dhcp: false,
      dhcpv6: false,
      ndp: true,
      routerAdvertisements: true,
    })
  })

  test("a namespace that is configured gets no router advertisements, which would add addresses and routes", () => {
    expect(resolve("--config-net").protocols).toMatchObject({ ndp: true, routerAdvertisements: false })
  })

  test("the MTU is 65520, what was said, or not assigned", () => {
    expect([resolve("").mtu, resolve("-m 1500").mtu, resolve("-m 0").mtu]).toEqual([65520, 1500, undefined])
  })

  test("an MTU too small for IPv6 turns it off", () => {
    const { v6, notices } = resolve("-m 1279")
    expect(v6).toBeUndefined()
    expect(notices).toEqual([{ level: "warning", text: expect.stringContaining("1279") }])
    expect(attempt("-6 -m 1279")).toMatchObject({ kind: "error" })
  })

  test("pasta advertises names only when asked, passt unless asked not to", () => {
    expect(resolve("")).toMatchObject({ advertiseNameServers: false, advertiseSearchDomains: false })
    expect(resolve("--dhcp-dns --dhcp-search")).toMatchObject({
      advertiseNameServers: true,
      advertiseSearchDomains: true,
    })
    expect(resolve("", { program: "passt" })).toMatchObject({
      advertiseNameServers: true,
      advertiseSearchDomains: true,
      namespace: undefined,
    })
    expect(resolve("--no-dhcp-dns", { program: "passt" }).advertiseNameServers).toBe(false)
  })
})

test("an outbound address that the host lacks is warned of", () => {
  const warnings = (argv: string) =>
    resolve(argv).notices.flatMap(({ level, text }) => (level === "warning" ? text : []))
  expect(warnings("-o 88.198.0.164 -o 2001:db8:222:904::2")).toEqual([])
  expect(warnings("-o 192.0.2.99 -o 2001:db8::99")).toEqual([
    expect.stringContaining("192.0.2.99 is on none of the host's interfaces"),
    expect.stringContaining("2001:db8::99 is on none of the host's interfaces"),
  ])
  expect(warnings("-4 -o 2001:db8::99")).toEqual([])
})

describe("a version of IP without sockets", () => {
  const without = (argv: string, refusals: { v4?: string; v6?: string }, network = usualHost()) => {
    const parsed = parseCommandLine(argv.split(" ").filter(Boolean), "pasta")
    if (parsed.kind !== "run") throw new Error(JSON.stringify(parsed))
    return resolveConfiguration(parsed.options, { network, resolvConf: "", refusals }, "pasta")
  }

  test.each(["v4", "v6"] as const)("is off, and that is said once: %s", (family) => {
    const resolution = without("--config-net", { [family]: "not here" })
    if (resolution.kind === "error") throw new Error(resolution.message)
    const { configuration } = resolution
    expect(configuration[family]).toBeUndefined()
    expect(configuration[family === "v4" ? "v6" : "v4"]).toBeDefined()
    expect(configuration.notices).toEqual([
      { level: "warning", text: expect.stringMatching(new RegExp(`^IPv${family[1]} is off, .*: not here$`)) },
    ])
    const { addresses = [], routes = [] } = configuration.namespace?.network ?? {}
    expect([...addresses.map(({ address }) => address.isV4), ...routes.map(({ isV4 }) => isV4)]).not.toContain(
      family === "v4",
    )
  })

  test("is no more than information where the host has no address of it", () => {
    const resolution = without("", { v6: "not here" }, NO_NETWORK)
    if (resolution.kind === "error") throw new Error(resolution.message)
    expect(resolution.configuration.notices.filter(({ level }) => level === "warning")).toEqual([])
  })

  test("is an error if nothing else is left", () => {
    const message = "There are no sockets for any version of IP that could be used"
    expect(without("-6", { v6: "not here" })).toEqual({ kind: "error", message })
    expect(without("", { v4: "not here", v6: "not here" })).toEqual({ kind: "error", message })
    expect(without("-4", { v6: "not here" })).toMatchObject({ kind: "configuration" })
  })
})

describe("mapping to the host", () => {
  const mapped = (argv: string) => {
    const { v4, v6 } = resolve(argv)
    return [v4?.mapHostLoopback?.toString(), v6?.mapHostLoopback?.toString()]
  }

  test("is by the gateway's address unless the user says otherwise", () => {
    expect(mapped("")).toEqual(["88.198.0.161", "fe80::1"])
    expect(mapped("-g 88.198.0.170")).toEqual(["88.198.0.170", "fe80::1"])
    expect(mapped("--no-map-gw")).toEqual([undefined, undefined])
    expect(mapped("--map-host-loopback none")).toEqual([undefined, undefined])
    expect(mapped("--map-host-loopback 10.9.9.9")).toEqual(["10.9.9.9", "fe80::1"])
    expect(mapped("--no-map-gw --map-host-loopback 10.9.9.9")).toEqual(["10.9.9.9", undefined])
  })

  test("the guest's own address on the host is reached only if asked for", () => {
    expect(resolve("").v4?.mapGuestAddress).toBeUndefined()
    expect(String(resolve("--map-guest-addr 10.9.9.8").v4?.mapGuestAddress)).toBe("10.9.9.8")
  })
})

describe("name service", () => {
  const names = (argv: string, ...servers: string[]) => {
    const resolvConf = servers.map((server) => `nameserver ${server}\n`).join("")
    const { v4, v6, notices } = resolve(argv, { resolvConf })
    return {
      v4: v4?.nameServers.join(),
      v6: v6?.nameServers.join(),
      forward: [v4?.dnsForward, v4?.dnsHost].join(),
      warnings: notices.filter(({ level }) => level === "warning").length,
      notices: notices.length,
    }
  }

  test("is that of the host", () => {
    expect(names("", "192.0.2.53", "2001:db8::53", "192.0.2.54")).toMatchObject({
      v4: "192.0.2.53,192.0.2.54",
      v6: "2001:db8::53",
      forward: ",",
    })
  })

  test("given by --dns goes to the guest as it is, and resolv.conf's doesn't", () => {
    expect(names("-D 127.0.0.1 -D 192.0.2.9", "192.0.2.53", "2001:db8::53")).toMatchObject({
      v4: "127.0.0.1,192.0.2.9",
      v6: "",
      notices: 0,
    })
    expect(names("-D none", "192.0.2.53")).toMatchObject({ v4: "", v6: "" })
  })

  test("on the host's loopback is reached by the gateway's address, as if it were --dns-forward", () => {
    expect(names("", "127.0.0.53")).toMatchObject({ v4: "88.198.0.161", forward: "88.198.0.161,127.0.0.53" })
    expect(names("", "127.0.0.1")).toMatchObject({ v4: "88.198.0.161", forward: "88.198.0.161,127.0.0.1" })
  })

  test("on the host's loopback, not the first: only where the mapping leads there", () => {
    expect(names("", "192.0.2.53", "127.0.0.1")).toMatchObject({ v4: "192.0.2.53,88.198.0.161", forward: "," })
    expect(names("", "192.0.2.53", "127.0.0.53")).toMatchObject({ v4: "192.0.2.53", notices: 1 })
  })

  test("on the host's loopback is out of reach without a mapping, and that is said", () => {
    expect(names("--no-map-gw", "127.0.0.53")).toMatchObject({ v4: "", forward: ",", notices: 1, warnings: 0 })
    expect(names("--no-map-gw --dns-forward 10.9.9.53", "127.0.0.53")).toMatchObject({
      v4: "10.9.9.53",
      forward: "10.9.9.53,127.0.0.53",
    })
  })

  test("by the gateway isn't shadowed by the mapping to loopback", () => {
    expect(names("", "88.198.0.161")).toMatchObject({ v4: "88.198.0.161", forward: "88.198.0.161,88.198.0.161" })
    expect(names("", "192.0.2.53", "88.198.0.161")).toMatchObject({
      v4: "192.0.2.53,88.198.0.161",
      forward: "88.198.0.161,192.0.2.53",
    })
  })

  test("that the guest can't reach is replaced by the address of --dns-forward", () => {
    expect(names("--dns-forward 10.9.9.53", "88.198.0.161", "192.0.2.53")).toMatchObject({
      v4: "10.9.9.53,192.0.2.53",
      forward: "10.9.9.53,88.198.0.161",
      notices: 0,
    })
    expect(names("--dns-forward 10.9.9.53 --dns-host 192.0.2.99", "127.0.0.53", "88.198.0.161")).toMatchObject({
      v4: "10.9.9.53",
      forward: "10.9.9.53,192.0.2.99",
      notices: 0,
    })
  })

  test("by the gateway comes before --map-guest-addr at the same address", () => {
    expect(names("--map-guest-addr 88.198.0.161", "88.198.0.161")).toMatchObject({
      v4: "88.198.0.161",
      forward: "88.198.0.161,88.198.0.161",
      notices: 0,
    })
  })

  test("on the address that the guest shares with the host is reached another way", () => {
    expect(names("", "88.198.0.164")).toMatchObject({ v4: "88.198.0.161", forward: "88.198.0.161,88.198.0.164" })
    expect(names("--map-guest-addr 10.9.9.8", "192.0.2.53", "88.198.0.164").v4).toBe("192.0.2.53,10.9.9.8")
  })

  test("--dns-forward leads to --dns-host, else to the first name server of the version", () => {
    expect(names("--dns-forward 10.9.9.53", "2001:db8::53", "192.0.2.53").forward).toBe("10.9.9.53,192.0.2.53")
    expect(names("--dns-forward 10.9.9.53 --dns-host 192.0.2.99", "192.0.2.53").forward).toBe("10.9.9.53,192.0.2.99")
    expect(names("--dns-forward 10.9.9.53", "2001:db8::53")).toMatchObject({ forward: ",", warnings: 1 })
  })

  describe("on a link-local address with a zone", () => {
    const scoped = (argv: string, ...servers: string[]) => {
      const resolvConf = servers.map((server) => `nameserver ${server}\n`).join("")
      const { v6, notices } = resolve(argv, { resolvConf })
      const forward = [v6?.dnsForward, v6?.dnsHost, v6?.dnsHostScope].join()
      return { v6: v6?.nameServers.join(), forward, notices: notices.length }
    }

    test("never gets to the guest, but what stands for it does", () => {
      expect(scoped("--dns-forward 2001:db8::d", "fe80::53%eth0")).toEqual({
        v6: "2001:db8::d",
        forward: "2001:db8::d,fe80::53,2",
        notices: 0,
      })
      expect(scoped("", "fe80::53%eth0")).toEqual({ v6: "fe80::1", forward: "fe80::1,fe80::53,2", notices: 0 })
      expect(scoped("", "fe80::1%2")).toEqual({ v6: "fe80::1", forward: "fe80::1,fe80::1,2", notices: 0 })
      expect(scoped("", "2001:db8::53", "fe80::53%eth0")).toEqual({ v6: "2001:db8::53", forward: ",,", notices: 1 })
      expect(scoped("--no-map-gw", "fe80::53%eth0")).toEqual({ v6: "", forward: ",,", notices: 1 })
    })

    test("may be given by --dns-host, and on an interface that isn't there has no scope", () => {
      expect(scoped("--dns-forward 2001:db8::d --dns-host fe80::54%lo", "fe80::53%eth0").forward).toBe(
        "2001:db8::d,fe80::54,1",
      )
      expect(scoped("--dns-forward 2001:db8::d", "fe80::53%gone").forward).toBe("2001:db8::d,fe80::53,")
    })
  })

  test("without any is that of the local machine, where the guest reaches that", () => {
    expect(names("")).toEqual({ v4: "88.198.0.161", v6: "fe80::1", forward: ",", warnings: 0, notices: 0 })
    expect(names("--no-map-gw")).toMatchObject({ v4: "", v6: "", forward: ",", notices: 0 })
    expect(names("--no-map-gw --dns-forward 10.9.9.53")).toMatchObject({
      v4: "10.9.9.53",
      forward: "10.9.9.53,127.0.0.1",
    })
    expect(names("-D none")).toMatchObject({ v4: "", v6: "" })
  })

  test("search domains come from resolv.conf unless given", () => {
    const resolvConf = "search a.example b.example\n"
    expect(resolve("", { resolvConf }).searchDomains).toEqual(["a.example", "b.example"])
    expect(resolve("-S c.example", { resolvConf }).searchDomains).toEqual(["c.example"])
    expect(resolve("-S none", { resolvConf }).searchDomains).toEqual([])
    expect(resolve("-S .", { resolvConf }).searchDomains).toEqual([])
    expect(resolve("-S none.", { resolvConf }).searchDomains).toEqual(["none."])
  })
})

describe("what is set up in the namespace", () => {
  const network = (argv: string, host = usualHost()) => {
    const setUp = resolve(argv, { network: host }).namespace?.network
    const describeRoute = (route: Route) => {
      const to = route.prefix === undefined ? "default" : `${route.prefix}/${route.prefixLength}`
      const hops = route.nextHops.map((hop) => ` via ${hop.gateway} on ${hop.interfaceIndex} flags ${hop.flags}`)
      return `${to}${hops.join("")}${route.preferredSource ? ` from ${route.preferredSource}` : ""}`
    }
    return {
      addresses: setUp?.addresses.map((entry) => `${entry.address}/${entry.prefixLength} ${entry.flags.toString(16)}`),
      ...(setUp !== undefined && setUp.replacing.length > 0 && { replacing: setUp.replacing.map(describeRoute) }),
      routes: setUp?.routes.map(describeRoute),
    }
  }

  test("nothing without --config-net", () => {
    expect(resolve("").namespace).toEqual({
      target: { kind: "new", userNamespace: { kind: "new" }, hasPidNamespace: true },
      quitsWithNamespace: true,
      interfaceName: "eth0",
      macAddress: undefined,
      network: undefined,
    })
  })

  test("addresses and routes of the host, but connected ones, which the kernel adds", () => {
    expect(network("--config-net")).toEqual({
      addresses: ["88.198.0.164/27 0", "2001:db8:222:904::2/64 2"],
      replacing: ["88.198.0.160/27 via undefined on 0 flags 0 from 88.198.0.164"],
      routes: ["default via 88.198.0.161 on 0 flags 0", "default via fe80::1 on 0 flags 0"],
    })
  })

  test("-a sets up a single address, for its version only", () => {
    const { addresses, routes } = network("--config-net -a 10.1.2.3/24")
    expect(addresses).toEqual(["10.1.2.3/24 0", "2001:db8:222:904::2/64 2"])
    expect(routes?.[0]).toBe("88.198.0.160/27 via undefined on 0 flags 0")
  })

  test("-g sets up a single route, on link where no address covers the gateway", () => {
    expect(network("--config-net -4 -g 88.198.0.170").routes).toEqual(["default via 88.198.0.170 on 0 flags 0"])
    expect(network("--config-net -4 -g 10.0.0.1").routes).toEqual(["default via 10.0.0.1 on 0 flags 4"])
    expect(network("--config-net -6 -g 2001:db8:9::1").routes).toEqual(["default via 2001:db8:9::1 on 0 flags 4"])
    expect(network("--config-net -g 10.0.0.1").routes).toHaveLength(2)
  })

  const large = () =>
    hostNetwork(
      ["lo", "eth0", "wlan0"],
      [
        { dev: "eth0", address: "10.0.0.5/32" },
        { dev: "eth0", address: "169.254.3.3/16" },
        { dev: "eth0", address: "10.0.0.6/32", flags: 0x20 },
        { dev: "eth0", address: "10.0.0.7/32" },
        { dev: "wlan0", address: "10.7.0.5/24" },
      ],
      [
        { to: "default", dev: "eth0", via: "10.200.0.1" },
        {
          to: "10.50.0.0/16",
          hops: [
            { dev: "wlan0", via: "10.7.0.1" },
            { dev: "eth0", via: "10.200.0.2" },
          ],
        },
        { to: "10.200.0.1/32", dev: "eth0", source: "10.7.0.5", flags: 0x10 },
        { to: "10.7.0.0/24", dev: "wlan0" },
        { to: "10.66.0.0/16", type: 7 },
        { to: "10.8.0.0/16", dev: "eth0", table: 100 },
      ],
    )

  test("only what belongs to the template interface, and gateways that can be reached", () => {
    expect(network("--config-net -4", large())).toEqual({
      addresses: ["10.0.0.5/32 0", "10.0.0.7/32 0"],
      routes: [
        "10.200.0.1/32 via undefined on 0 flags 0",
        "default via 10.200.0.1 on 0 flags 0",
        "10.50.0.0/16 via 10.200.0.2 on 0 flags 4",
      ],
    })
  })

  test("one address and one route with --no-copy-addrs and --no-copy-routes", () => {
    expect(network("--config-net -4 --no-copy-addrs --no-copy-routes", large())).toEqual({
      addresses: ["10.0.0.5/32 0"],
      routes: ["default via 10.200.0.1 on 0 flags 4"],
    })
  })

  test("a default route without a gateway stays one with --no-copy-routes", () => {
    const uplink = hostNetwork(
      ["lo", "wg0"],
      [
        { dev: "wg0", address: "10.0.0.2/32" },
        { dev: "wg0", address: "2001:db8::2/128" },
      ],
      [
        { to: "default", dev: "wg0", isV4: true },
        { to: "default", dev: "wg0", isV4: false },
      ],
    )
    for (const options of ["", "--no-copy-routes"]) {
      expect(network(`--config-net ${options}`, uplink).routes).toEqual([
        "default via undefined on 0 flags 0",
        "default via undefined on 0 flags 0",
      ])
    }
    expect(network("--config-net --no-copy-routes", twoInterfaces()).routes).toEqual([])
  })
})
