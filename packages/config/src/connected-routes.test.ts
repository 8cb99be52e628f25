import type { InterfaceAddress, Route } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { connect } from "./connected-routes.ts"
import { type AddressText, hostNetwork, type RouteText } from "./host-facts.fixture.ts"

const NO_PREFIX_ROUTE = 0x200

/** The set-up for these addresses and routes of the host. */
function connected(
  addresses: Omit<AddressText, "dev">[],
  routes: Omit<RouteText, "dev">[],
  isOfHost: (entry: InterfaceAddress) => boolean = () => true,
) {
  const host = hostNetwork(
    ["eth0"],
    addresses.map((entry) => ({ flags: 0, ...entry, dev: "eth0" })),
    routes.map((entry) => ({ ...entry, dev: "eth0" })),
  )
  const result = connect(host.addresses, host.routes, isOfHost)
  const describeRoute = (route: Route) => `${route.prefix ?? "default"}/${route.prefixLength} ${route.metric ?? "-"}`
  return {
    addresses: result.addresses.map(
      (entry) =>
        `${entry.address}/${entry.prefixLength} ${entry.routeMetric ?? "-"}` +
        `${entry.flags & NO_PREFIX_ROUTE ? " noprefixroute" : ""}`,
    ),
    replacing: result.replacing.map(describeRoute),
    routes: result.routes.map(describeRoute),
  }
}

const v4 = { to: "192.0.2.0/24", source: "192.0.2.5", protocol: 2 }
const v6 = { to: "2001:db8:1::/64", protocol: 2, metric: 256 }
const addresses = [{ address: "192.0.2.5/24" }, { address: "2001:db8:1::5/64" }]

describe("the kernel adds a connected route", () => {
  test("that the host has as the kernel adds it", () => {
    expect(connected(addresses, [v4, v6])).toEqual({
      addresses: ["192.0.2.5/24 -", "2001:db8:1::5/64 -"],
      replacing: [],
      routes: [],
    })
  })

  test("with the metric that it has on the host, also where a program has added it there", () => {
    const flags = NO_PREFIX_ROUTE
    const managed = addresses.map((entry) => ({ ...entry, flags }))
    const routes = [
      { ...v4, metric: 100 },
      { ...v6, metric: 100 },
    ]
    expect(connected(managed, routes)).toEqual({
      addresses: ["192.0.2.5/24 100", "2001:db8:1::5/64 100"],
      replacing: [],
      routes: [],
    })
  })

  test("to the other end of a point-to-point link", () => {
    const ends = [
      { address: "10.9.0.1/32", peer: "10.9.0.2" },
      { address: "2001:db8:5::1/128", peer: "2001:db8:5::2" },
    ]
    const routes = [
      { to: "10.9.0.2/32", source: "10.9.0.1", protocol: 2 },
      { to: "2001:db8:5::1/128", protocol: 2, metric: 256 },
      { to: "2001:db8:5::2/128", protocol: 2, metric: 256 },
    ]
    expect(connected(ends, routes)).toEqual({
      addresses: ["10.9.0.1/32 -", "2001:db8:5::1/128 -"],
      replacing: [],
      routes: [],
    })
  })

  test("once for all addresses of a network", () => {
    const more = [...addresses, { address: "192.0.2.6/24" }, { address: "2001:db8:1::6/64" }]
    expect(connected(more, [v4, v6])).toEqual({
      addresses: ["192.0.2.5/24 -", "2001:db8:1::5/64 -", "192.0.2.6/24 -", "2001:db8:1::6/64 -"],
      replacing: [],
      routes: [],
    })
  })

  test("for an address that only the guest has", () => {
    expect(connected(addresses, [], () => false)).toEqual({
      addresses: ["192.0.2.5/24 -", "2001:db8:1::5/64 -"],
      replacing: [],
      routes: [],
    })
  })
})

test.each<[string, Partial<RouteText>]>([
  ["another protocol", { protocol: 16 }],
  ["another source", { source: undefined }],
  ["an MTU", { attributes: [{ type: 8, bytes: [8, 0, 2, 0, 120, 5, 0, 0] }] }],
])("a connected route with %s takes the place of the kernel's", (_what, difference) => {
  expect(connected(addresses, [{ ...v4, metric: 7, ...difference }, v6])).toEqual({
    addresses: ["192.0.2.5/24 7", "2001:db8:1::5/64 -"],
    replacing: ["192.0.2.0/24 7"],
    routes: [],
  })
})

describe("no connected route", () => {
  test("comes with an address that has none on the host", () => {
    expect(connected(addresses, [{ to: "default", via: "192.0.2.1" }])).toEqual({
      addresses: ["192.0.2.5/24 - noprefixroute", "2001:db8:1::5/64 - noprefixroute"],
      replacing: [],
      routes: ["default/0 -"],
    })
  })

  test.each<Partial<RouteText> & { to: string }>([
    { to: "192.0.2.0/25" },
    { to: "192.0.2.0/24", via: "192.0.2.1" },
    { to: "192.0.2.0/24", tos: 16 },
    { to: "2001:db8:1::/64", from: "2001:db8::/32" },
  ])("is %o", (route) => {
    const { routes, replacing } = connected(addresses, [v4, v6, route])
    expect(routes).toHaveLength(1)
    expect(replacing).toEqual([])
  })

  test("is there for a lonely IPv4 address", () => {
    expect(connected([{ address: "10.0.0.5/32" }], [{ to: "10.0.0.5/32" }])).toEqual({
      addresses: ["10.0.0.5/32 -"],
      replacing: [],
      routes: ["10.0.0.5/32 -"],
    })
  })
})
