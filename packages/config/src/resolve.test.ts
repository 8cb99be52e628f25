import { describe, expect, test } from "vitest"
import { parseCommandLine } from "./command-line.ts"
import { hostNetwork, NO_NETWORK, twoInterfaces, usualHost } from "./host-facts.fixture.ts"
import { attempt, resolve } from "./resolve.fixture.ts"
import { resolveConfiguration } from "./resolve.ts"

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
    const message = "This system has no sockets for the versions of IP that could be used"
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
    // Unchanged: on a closed host the address is only a name, and the forwarding policy doesn't lead there.
    expect(mapped("--no-host")).toEqual(mapped(""))
  })

  test("the guest's own address on the host is reached only if asked for", () => {
    expect(resolve("").v4?.mapGuestAddress).toBeUndefined()
    expect(String(resolve("--map-guest-addr 10.9.9.8").v4?.mapGuestAddress)).toBe("10.9.9.8")
  })
})
