import { Address } from "@demiflow/core"
import { describe, expect, test } from "vitest"
import { parseCommandLine } from "./command-line.ts"
import type { Configuration } from "./configuration.ts"
import { NO_NETWORK, usualHost } from "./host-facts.fixture.ts"
import {
  arpOptions,
  dhcpv4Lease,
  dhcpv6Lease,
  guestAddressOptions,
  hostNeighbourOptions,
  icmpOptions,
  ndpOptions,
} from "./plugin-options.ts"
import { resolveConfiguration } from "./resolve.ts"

function configurationOf(argv: string, network = usualHost()): Configuration {
  const parsed = parseCommandLine(argv.split(" ").filter(Boolean), "pasta")
  if (parsed.kind !== "run") throw new Error(JSON.stringify(parsed))
  const resolvConf = "nameserver 192.0.2.53\nnameserver 2001:db8::53\nsearch a.example\n"
  const resolution = resolveConfiguration(parsed.options, { network, resolvConf }, "pasta")
  if (resolution.kind === "error") throw new Error(resolution.message)
  return resolution.configuration
}

describe("neighbours", () => {
  const ours = (argv: string) => {
    const configuration = configurationOf(argv)
    return [arpOptions(configuration)?.ourAddresses.join(), ndpOptions(configuration)?.ourAddresses.join()]
  }

  test("ours are the gateway and what stands for something on the host", () => {
    expect(ours("")).toEqual(["88.198.0.161", "fe80::1"])
    expect(ours("--map-host-loopback 10.9.9.1 --map-guest-addr 10.9.9.2 --dns-forward 10.9.9.3")).toEqual([
      "88.198.0.161,10.9.9.1,10.9.9.2,10.9.9.3",
      "fe80::1",
    ])
    expect(ours("-4")).toEqual(["88.198.0.161", undefined])
    expect(ours("-6")).toEqual([undefined, "fe80::1"])
    expect(ours("--no-ndp")).toEqual(["88.198.0.161", undefined])
  })

  test("the guest's own address is never ours", () => {
    expect(arpOptions(configurationOf("--map-host-loopback 88.198.0.164"))?.ourAddresses.join()).toBe("88.198.0.161")
  })
})

describe("which addresses are the guest's", () => {
  test("those of the network that it is given, or the one that the user chose", () => {
    const { v4, v6 } = configurationOf("")
    expect(guestAddressOptions(configurationOf(""))).toEqual({
      guestV4: v4?.guestAddress,
      guestV4PrefixLength: 27,
      isGuestV4Fixed: false,
      guestV6: v6?.guestAddress,
      guestV6PrefixLength: 64,
      isGuestV6Fixed: false,
    })
    expect(guestAddressOptions(configurationOf("-a 10.0.2.2/24"))).toMatchObject({
      guestV4PrefixLength: 24,
      isGuestV4Fixed: true,
      isGuestV6Fixed: false,
    })
    expect(guestAddressOptions(configurationOf("-4 -a 10.0.2.2"))).toEqual({
      guestV4: Address.parse("10.0.2.2"),
      guestV4PrefixLength: 8,
      isGuestV4Fixed: true,
    })
  })
})

describe("neighbours of the host", () => {
  const shown = (argv: string) => {
    const { ourAddresses, routerV4, routerV6 } = hostNeighbourOptions(configurationOf(argv))
    return [[...new Set(ourAddresses.map(String))].join(), routerV4 && String(routerV4), routerV6 && String(routerV6)]
  }
  const standIns = "--map-host-loopback 10.9.9.1 --map-guest-addr 10.9.9.2 --dns-forward 10.9.9.3"

  test("don't have the addresses that stand for something on the host, by default the gateways", () => {
    expect(shown("")).toEqual(["88.198.0.161,fe80::1", undefined, undefined])
    expect(shown(`-4 ${standIns}`)).toEqual(["10.9.9.1,10.9.9.2,10.9.9.3", "88.198.0.161", undefined])
    expect(shown("-4 --map-guest-addr 88.198.0.161 --no-map-gw")).toEqual(["88.198.0.161", undefined, undefined])
  })

  test("have those of gateways that are reached as such, from which we advertise as well", () => {
    expect(shown("--no-map-gw")).toEqual(["", "88.198.0.161", "fe80::1"])
    const { ourLinkLocal } = configurationOf("-g 2001:db8::77").v6 ?? {}
    expect(shown("-6 --no-map-gw -g 2001:db8::77")).toEqual([String(ourLinkLocal), undefined, "2001:db8::77"])
  })
})

test("groups are joined with all addresses that are ours", () => {
  const ours = (argv: string) => icmpOptions(configurationOf(argv))?.ourAddresses.join()
  expect(ours("")).toBe(`88.198.0.161,${configurationOf("").v6?.ourLinkLocal},fe80::1`)
  expect(ours("-4")).toBe("88.198.0.161")
  expect(ours("-6 --no-icmp")).toBeUndefined()
})

describe("advertisements", () => {
  const advertised = (argv: string, network = usualHost()) =>
    ndpOptions(configurationOf(argv, network))?.routerAdvertisement

  test("have the prefix, the MTU, and that DHCPv6 has more; names only if asked for", () => {
    const configuration = configurationOf("")
    expect(advertised("")).toEqual({
      prefix: configuration.v6?.guestAddress,
      mtu: 65520,
      nameServers: [],
      searchDomains: [],
      isDefaultRouter: true,
      hasManagedAddresses: true,
      hasOtherConfiguration: true,
    })
    expect(advertised("--dhcp-dns --dhcp-search")).toMatchObject({
      nameServers: configuration.v6?.nameServers,
      searchDomains: ["a.example"],
    })
    expect(advertised("--no-dhcpv6 -m 0")).toMatchObject({
      mtu: undefined,
      hasManagedAddresses: false,
      hasOtherConfiguration: false,
    })
  })

  test("have no prefix in local mode", () => {
    expect(advertised("", NO_NETWORK)).toMatchObject({
      prefix: undefined,
      isDefaultRouter: true,
      hasManagedAddresses: false,
    })
  })

  test("are off with --no-ra and --config-net", () => {
    expect([advertised("--no-ra"), advertised("--config-net")]).toEqual([undefined, undefined])
  })
})

describe("leases", () => {
  test("are of the configured addresses; the gateway is the server", () => {
    const { v4, v6 } = configurationOf("")
    expect(dhcpv4Lease(configurationOf("-H guest --fqdn guest.example -m 1400"))).toEqual({
      guestAddress: v4?.guestAddress,
      prefixLength: 27,
      serverAddress: v4?.gateway,
      gateway: v4?.gateway,
      mtu: 1400,
      nameServers: [],
      searchDomains: [],
      hostname: "guest",
      fqdn: "guest.example",
    })
    expect(dhcpv6Lease(configurationOf("--dhcp-dns --dhcp-search"))).toEqual({
      guestAddress: v6?.guestAddress,
      nameServers: v6?.nameServers,
      searchDomains: ["a.example"],
      fqdn: undefined,
    })
  })

  test("aren't given where DHCP is off", () => {
    expect([dhcpv4Lease(configurationOf("--no-dhcp")), dhcpv6Lease(configurationOf("--no-dhcpv6"))]).toEqual([
      undefined,
      undefined,
    ])
    expect([dhcpv4Lease(configurationOf("-6")), dhcpv6Lease(configurationOf("-4"))]).toEqual([undefined, undefined])
  })
})
