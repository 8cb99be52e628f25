/**
 * The addresses and routes that `--config-net` sets up in the namespace, for one version of IP: those of the template
 * interface, or a single address and a default route.
 *
 * Copies have all attributes that the kernel reported, with the interface translated. An address or route with a
 * lifetime on the host (learnt from a router) has none in the namespace, where nothing would renew it.
 */
import { Address, type HostNetwork, type InterfaceAddress, type NextHop, type Route } from "@demiflow/core"
import { TAP_INTERFACE_INDEX } from "./configuration.ts"
import { type ConnectedNetwork, connect } from "./connected-routes.ts"
import { AddressFlag, HOP_ON_LINK, ROUTE_UNICAST, RouteProtocol, Scope, TABLE_MAIN } from "./rtnetlink.ts"
import { isDefault, isSettled, type Template, usableRoutes } from "./template.ts"

/** The set-up of one IP version. */
export interface NamespacePlan {
  readonly isV4: boolean
  readonly template: Template | undefined
  /** The guest's own; undefined in IPv6 local mode. */
  readonly guestAddress: Address | undefined
  readonly prefixLength: number
  readonly gateway: Address | undefined
  /** Copy all addresses of the template, rather than set up the guest's own one. */
  readonly copyAddresses: boolean
  /** Copy all routes of the template, rather than set up a default route. */
  readonly copyRoutes: boolean
}

/** Addresses and routes in the order in which they are to be set up. */
export function planNetwork(plan: NamespacePlan, host: HostNetwork): ConnectedNetwork {
  const addresses = planAddresses(plan, host)
  if (plan.template === undefined || !plan.copyRoutes) {
    const route = defaultRoute(plan)
    return { addresses, replacing: [], routes: route === undefined ? [] : [route] }
  }
  const routes = dropForeignSources(copyRoutes(plan.isV4, plan.template, host), addresses)
  const { index } = plan.template.interface
  const isOfHost = ({ address, prefixLength }: InterfaceAddress) =>
    host.addresses.some(
      (entry) => entry.interfaceIndex === index && entry.prefixLength === prefixLength && entry.address.equals(address),
    )
  return connect(addresses, routes, isOfHost)
}

function planAddresses(plan: NamespacePlan, host: HostNetwork): InterfaceAddress[] {
  const { guestAddress, template } = plan
  const addresses: InterfaceAddress[] = []
  // Without the host's routes, only the kernel's exist.
  const kept = AddressFlag.deprecated | (plan.copyRoutes ? AddressFlag.noPrefixRoute : 0)
  for (const entry of host.addresses) {
    if (entry.interfaceIndex !== template?.interface.index || entry.address.isV4 !== plan.isV4) continue
    if (guestAddress?.equals(entry.address)) addresses.push(onTap(withPrefixLength(entry, plan.prefixLength), kept))
    else if (plan.copyAddresses && isCopied(entry)) addresses.push(onTap(entry, kept))
  }
  if (guestAddress !== undefined && !addresses.some(({ address }) => address.equals(guestAddress))) {
    addresses.unshift(onTap(ownAddress(guestAddress, plan.prefixLength), kept))
  }
  // The kernel lists the latest IPv6 address first: in this order they come out as on the host.
  return plan.isV4 ? addresses : addresses.reverse()
}

/** Leaves out link-local addresses, which belong to their link, and addresses that are being removed. */
function isCopied(entry: InterfaceAddress): boolean {
  if (entry.address.isLinkLocal || entry.address.isLoopback) return false
  const isKept = (entry.flags & AddressFlag.permanent) !== 0 && (entry.flags & AddressFlag.deprecated) !== 0
  return isSettled(isKept ? { ...entry, flags: entry.flags & ~AddressFlag.deprecated } : entry)
}

/** An address that the host doesn't have on the template, as ip(8) would add it. */
function ownAddress(address: Address, prefixLength: number): InterfaceAddress {
  return {
    interfaceIndex: TAP_INTERFACE_INDEX,
    address,
    prefixLength,
    scope: Scope.global,
    flags: 0,
    ...broadcastOf(address, prefixLength),
  }
}

/** The guest's own address may have another mask than on the host (`-n`). */
function withPrefixLength(entry: InterfaceAddress, prefixLength: number): InterfaceAddress {
  return entry.prefixLength === prefixLength ? entry : ownAddress(entry.address, prefixLength)
}

/** The subnet's broadcast address, where there is one: IPv4 with room for it (RFC 3021 has none in a /31). */
function broadcastOf(address: Address, prefixLength: number): { broadcast?: Address } {
  if (!address.isV4 || prefixLength > 30) return {}
  return { broadcast: Address.fromV4(address.word3 | (prefixLength === 0 ? -1 : 0xffffffff >>> prefixLength)) }
}

/**
 * Most flags describe the address's state on the host. No other station is on the tap: IPv6 may use the address at
 * once.
 */
function onTap(entry: InterfaceAddress, kept: number): InterfaceAddress {
  return {
    ...entry,
    interfaceIndex: TAP_INTERFACE_INDEX,
    flags: (entry.flags & kept) | (entry.address.isV4 ? 0 : AddressFlag.noDuplicateDetection),
  }
}

/** Routes of the template, those on which others may depend first. */
function copyRoutes(isV4: boolean, template: Template, host: HostNetwork): Route[] {
  const copied = usableRoutes(host, isV4).flatMap((route) => copyRoute(route, template.interface.index))
  const onLink = copied.filter((route) => route.nextHops.every((hop) => hop.gateway === undefined))
  const others = copied.filter((route) => !onLink.includes(route))
  return [...onLink, ...others.map((route) => makeReachable(route, onLink))]
}

/** Leaves out preferred sources that the namespace doesn't have. */
function dropForeignSources(routes: readonly Route[], addresses: readonly InterfaceAddress[]): Route[] {
  return routes.map((route) => {
    const { preferredSource } = route
    if (preferredSource === undefined || addresses.some((entry) => entry.address.equals(preferredSource))) return route
    return { ...route, preferredSource: undefined }
  })
}

function copyRoute(route: Route, interfaceIndex: number): Route[] {
  const hops = route.nextHops.filter((hop) => hop.interfaceIndex === interfaceIndex)
  if (hops.length === 0) return []
  // Flags about the state of the host's link don't apply to ours: only "on link" is kept.
  const nextHops = hops.map(
    (hop): NextHop => ({ ...hop, interfaceIndex: TAP_INTERFACE_INDEX, flags: hop.flags & HOP_ON_LINK }),
  )
  return [{ ...route, nextHops }]
}

/** Marks gateways as on link if no other route leads to them; IPv6 link-local ones are always on link. */
function makeReachable(route: Route, onLink: readonly Route[]): Route {
  const nextHops = route.nextHops.map((hop) => {
    const { gateway } = hop
    if (gateway === undefined || (!gateway.isV4 && gateway.isLinkLocal)) return hop
    const covered = onLink.some((other) => other.prefix?.sharesPrefix(gateway, other.prefixLength) && !isDefault(other))
    return covered ? hop : { ...hop, flags: hop.flags | HOP_ON_LINK }
  })
  return { ...route, nextHops }
}

/** The default route through the gateway, or on link where the host's is; undefined if the host has none. */
function defaultRoute({ isV4, gateway, guestAddress, prefixLength, template }: NamespacePlan): Route | undefined {
  if (gateway === undefined && template?.hasDefaultRoute !== true) return undefined
  const covered =
    gateway === undefined || guestAddress?.sharesPrefix(gateway, prefixLength) || (!isV4 && gateway.isLinkLocal)
  const hop = { interfaceIndex: TAP_INTERFACE_INDEX, gateway, weight: 1, flags: covered ? 0 : HOP_ON_LINK }
  return {
    isV4,
    prefix: undefined,
    prefixLength: 0,
    table: TABLE_MAIN,
    type: ROUTE_UNICAST,
    scope: gateway === undefined && isV4 ? Scope.link : Scope.global,
    protocol: RouteProtocol.boot,
    metric: undefined,
    preferredSource: undefined,
    nextHops: [hop],
  }
}
