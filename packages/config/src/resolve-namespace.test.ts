import type { Route } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { hostNetwork, twoInterfaces, usualHost } from "./host-facts.fixture.ts"
import { resolve } from "./resolve.fixture.ts"

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
