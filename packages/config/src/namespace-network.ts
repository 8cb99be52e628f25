/**
 * What `--config-net` sets up in the namespace, for one version of IP: the addresses and routes of the template interface
 * as they are, or a single address and a default route.
 */
import type { Address, HostNetwork, InterfaceAddress, NextHop, Route } from "@demiflow/core"
import { TAP_INTERFACE_INDEX } from "./configuration.ts"
import { isDefault, isSettled, type Template, usableRoutes } from "./template.ts"

const TABLE_MAIN = 254
const ROUTE_UNICAST = 1
const SCOPE_GLOBAL = 0
/** rtnetlink's RTPROT_BOOT: set up by a program, as with ip(8). */
const PROTOCOL_BOOT = 3
/** No duplicate address detection: nobody else is on the link, and the address is to be usable at once. */
const FLAG_NO_DAD = 0x02
const FLAG_NO_PREFIX_ROUTE = 0x200
/** rtnetlink's RTNH_F_ONLINK: take the gateway to be on the link, whatever the other routes say. */
const HOP_ON_LINK = 4

/** What is to be set up, one IP version. */
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

/** Addresses, the guest's own first. */
export function planAddresses(plan: NamespacePlan, host: HostNetwork, routes: readonly Route[]): InterfaceAddress[] {
  const { guestAddress, prefixLength, template } = plan
  const addresses: InterfaceAddress[] = []
  if (guestAddress !== undefined) {
    const kept = template?.address.address.equals(guestAddress) ? template.address.flags : 0
    addresses.push(onTap(guestAddress, prefixLength, kept, routes))
  }
  if (template === undefined || !plan.copyAddresses) return addresses
  for (const entry of host.addresses) {
    if (entry.interfaceIndex !== template.interface.index || entry.address.isV4 !== plan.isV4) continue
    if (entry.address.isLinkLocal || entry.address.isLoopback || !isSettled(entry)) continue
    if (guestAddress?.equals(entry.address)) continue
    addresses.push(onTap(entry.address, entry.prefixLength, entry.flags, routes))
  }
  return addresses
}

/** Routes, those that others may need first. */
export function planRoutes(plan: NamespacePlan, host: HostNetwork): Route[] {
  const { template } = plan
  if (template === undefined || !plan.copyRoutes) {
    return plan.gateway === undefined ? [] : [defaultRoute(plan, plan.gateway)]
  }
  const copied = usableRoutes(host, plan.isV4).flatMap((route) => copyRoute(route, template.interface.index))
  const onLink = copied.filter((route) => route.nextHops.every((hop) => hop.gateway === undefined))
  const others = copied.filter((route) => !onLink.includes(route))
  return [...onLink, ...others.map((route) => makeReachable(route, onLink))]
}

/** Leaves out preferred sources that aren't there to be used. */
export function dropForeignSources(routes: readonly Route[], addresses: readonly InterfaceAddress[]): Route[] {
  return routes.map((route) => {
    const { preferredSource } = route
    if (preferredSource === undefined || addresses.some((entry) => entry.address.equals(preferredSource))) return route
    return { ...route, preferredSource: undefined }
  })
}

/** The kernel adds a route for the prefix of an address unless told not to: tell it where that route comes anyway. */
function onTap(address: Address, prefixLength: number, flags: number, routes: readonly Route[]): InterfaceAddress {
  const hasRoute = routes.some(
    (route) => route.prefix?.sharesPrefix(address, prefixLength) && route.prefixLength === prefixLength,
  )
  return {
    interfaceIndex: TAP_INTERFACE_INDEX,
    address,
    prefixLength,
    scope: SCOPE_GLOBAL,
    flags: (flags & FLAG_NO_PREFIX_ROUTE) | (hasRoute ? FLAG_NO_PREFIX_ROUTE : 0) | (address.isV4 ? 0 : FLAG_NO_DAD),
  }
}

function copyRoute(route: Route, interfaceIndex: number): Route[] {
  const hops = route.nextHops.filter((hop) => hop.interfaceIndex === interfaceIndex)
  if (hops.length === 0) return []
  // What a flag says about the state of the host's link has no meaning for ours: only "on link" is kept.
  const nextHops = hops.map(
    (hop): NextHop => ({ ...hop, interfaceIndex: TAP_INTERFACE_INDEX, flags: hop.flags & HOP_ON_LINK }),
  )
  return [{ ...route, nextHops }]
}

/** Marks gateways as on link that no other route leads to; IPv6 link-local ones are on link by nature. */
function makeReachable(route: Route, onLink: readonly Route[]): Route {
  const nextHops = route.nextHops.map((hop) => {
    const { gateway } = hop
    if (gateway === undefined || (!gateway.isV4 && gateway.isLinkLocal)) return hop
    const covered = onLink.some((other) => other.prefix?.sharesPrefix(gateway, other.prefixLength) && !isDefault(other))
    return covered ? hop : { ...hop, flags: hop.flags | HOP_ON_LINK }
  })
  return { ...route, nextHops }
}

function defaultRoute(plan: NamespacePlan, gateway: Address): Route {
  const covered = plan.guestAddress?.sharesPrefix(gateway, plan.prefixLength) || (!plan.isV4 && gateway.isLinkLocal)
  const hop = { interfaceIndex: TAP_INTERFACE_INDEX, gateway, weight: 1, flags: covered ? 0 : HOP_ON_LINK }
  return {
    isV4: plan.isV4,
    prefix: undefined,
    prefixLength: 0,
    table: TABLE_MAIN,
    type: ROUTE_UNICAST,
    scope: SCOPE_GLOBAL,
    protocol: PROTOCOL_BOOT,
    metric: undefined,
    preferredSource: undefined,
    nextHops: [hop],
  }
}
