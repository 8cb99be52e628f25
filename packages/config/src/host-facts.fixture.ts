/** A host's network in the notation of `ip address` and `ip route`. For tests. */
import {
  Address,
  type HostNetwork,
  type InterfaceAddress,
  MacAddress,
  type NextHop,
  type RawAttribute,
  type Route,
} from "@demiflow/core"

export interface HopText {
  readonly dev: string
  readonly via?: string
  readonly weight?: number
  readonly flags?: number
}

export interface RouteText extends Partial<HopText> {
  /** `default` or a prefix in CIDR notation. */
  readonly to: string
  readonly isV4?: boolean
  readonly hops?: readonly HopText[]
  readonly table?: number
  readonly type?: number
  readonly metric?: number
  readonly source?: string
  readonly protocol?: number
  readonly from?: string
  readonly tos?: number
  readonly attributes?: readonly RawAttribute[]
}

export interface AddressText {
  readonly dev: string
  /** CIDR notation. */
  readonly address: string
  readonly scope?: number
  readonly flags?: number
  readonly peer?: string
  readonly broadcast?: string
}

export function hostNetwork(
  names: readonly string[],
  addresses: readonly AddressText[],
  routes: readonly RouteText[],
): HostNetwork {
  const indexOf = (name: string) => names.indexOf(name) + 1
  return {
    interfaces: names.map((name, index) => ({
      index: index + 1,
      name,
      macAddress: new MacAddress(0x0200, index),
      mtu: 1500,
      isUp: true,
      isLoopback: name === "lo",
    })),
    addresses: addresses.map((text): InterfaceAddress => {
      const { address, prefixLength } = parsePrefix(text.address)
      const scope = text.scope ?? (address.isLinkLocal ? 253 : 0)
      return {
        interfaceIndex: indexOf(text.dev),
        address,
        prefixLength,
        scope,
        flags: text.flags ?? 0x80,
        ...(text.peer !== undefined && { pointToPoint: Address.parse(text.peer) }),
        ...(text.broadcast !== undefined && { broadcast: Address.parse(text.broadcast) }),
      }
    }),
    routes: routes.map((text): Route => {
      const prefix = text.to === "default" ? undefined : parsePrefix(text.to)
      const hops = text.hops ?? (text.dev === undefined ? [] : [{ ...text, dev: text.dev }])
      const from = text.from === undefined ? undefined : parsePrefix(text.from)
      const gateways = hops.map((hop) => hop.via)
      return {
        isV4: prefix?.address.isV4 ?? text.isV4 ?? !gateways.some((via) => via?.includes(":")),
        prefix: prefix?.address,
        prefixLength: prefix?.prefixLength ?? 0,
        ...(from !== undefined && { sourcePrefix: from.address, sourcePrefixLength: from.prefixLength }),
        ...(text.tos !== undefined && { typeOfService: text.tos }),
        ...(text.attributes !== undefined && { attributes: text.attributes }),
        table: text.table ?? 254,
        type: text.type ?? 1,
        scope: gateways[0] === undefined ? 253 : 0,
        protocol: text.protocol ?? 3,
        metric: text.metric,
        preferredSource: text.source === undefined ? undefined : Address.parse(text.source),
        nextHops: hops.map((hop): NextHop => {
          const gateway = hop.via === undefined ? undefined : Address.parse(hop.via)
          return { interfaceIndex: indexOf(hop.dev), gateway, weight: hop.weight ?? 1, flags: hop.flags ?? 0 }
        }),
      }
    }),
  }
}

/** A typical host, with one interface and both versions of IP. */
export function usualHost(): HostNetwork {
  return hostNetwork(
    ["lo", "eth0"],
    [
      { dev: "lo", address: "127.0.0.1/8", scope: 254 },
      { dev: "lo", address: "::1/128", scope: 254 },
      { dev: "eth0", address: "88.198.0.164/27" },
      { dev: "eth0", address: "2001:db8:222:904::2/64" },
      { dev: "eth0", address: "fe80::5054:ff:fe12:3456/64" },
    ],
    [
      { to: "default", dev: "eth0", via: "88.198.0.161", metric: 1002, protocol: 16 },
      { to: "88.198.0.160/27", dev: "eth0", source: "88.198.0.164", metric: 1002, protocol: 16 },
      { to: "127.0.0.0/8", dev: "lo", table: 255, type: 2 },
      { to: "2001:db8:222:904::/64", dev: "eth0", metric: 256, protocol: 2 },
      { to: "fe80::/64", dev: "eth0", metric: 256, protocol: 2 },
      { to: "default", dev: "eth0", via: "fe80::1", metric: 1024 },
      { to: "ff00::/8", dev: "eth0", table: 255, type: 5 },
    ],
  )
}

export const NO_NETWORK: HostNetwork = hostNetwork(
  ["lo"],
  [
    { dev: "lo", address: "127.0.0.1/8", scope: 254 },
    { dev: "lo", address: "::1/128", scope: 254 },
  ],
  [],
)

function parsePrefix(text: string): { address: Address; prefixLength: number } {
  const [address, length] = text.split("/")
  return { address: Address.parse(address), prefixLength: Number(length) }
}

/** A host whose interfaces have one version of IP each, and only routes to their own networks. */
export const twoInterfaces = (): HostNetwork =>
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
