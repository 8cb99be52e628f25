/**
 * The template interface: the host interface whose addresses and routes the guest gets, chosen for each version of IP.
 *
 * It is the interface that the user named; else that of the first default route, in the order in which the kernel lists
 * routes; else that of the first route of any kind. Without one, or if it has no usable address, the guest is set up
 * in local mode, with link-local addresses.
 */
import type { Address, HostNetwork, InterfaceAddress, NetworkInterface, NextHop, Route } from "@demiflow/core"
import { AddressFlag, ROUTE_UNICAST, Scope, TABLE_MAIN } from "./rtnetlink.ts"

const UNSETTLED = AddressFlag.duplicateDetectionFailed | AddressFlag.deprecated | AddressFlag.tentative

/** The model for the guest's configuration of one IP version. */
export interface Template {
  readonly interface: NetworkInterface
  /** The guest's address. */
  readonly address: InterfaceAddress
  /** Of the interface's first default route; undefined if it has none, or one without gateway. */
  readonly gateway: Address | undefined
  /** True if the interface has a default route, with or without a gateway. */
  readonly hasDefaultRoute: boolean
  /** The interface's own link-local address, if it has one (IPv6). */
  readonly linkLocal: Address | undefined
}

/** Finds the template for one IP version; undefined: local mode. */
export function findTemplate(host: HostNetwork, isV4: boolean, name: string | undefined): Template | undefined {
  const candidate = name === undefined ? defaultInterface(host, isV4) : findInterface(host, name)
  if (candidate === undefined) return undefined
  const defaultRoute = usableRoutes(host, isV4).find(
    (route) => isDefault(route) && route.nextHops.some((hop) => hop.interfaceIndex === candidate.index),
  )
  const addresses = host.addresses.filter(
    (entry) => entry.interfaceIndex === candidate.index && entry.address.isV4 === isV4,
  )
  const address = chooseAddress(addresses, defaultRoute?.preferredSource)
  if (address === undefined) return undefined
  return {
    interface: candidate,
    address,
    hasDefaultRoute: defaultRoute !== undefined,
    gateway: defaultRoute && chooseNextHop(defaultRoute, candidate.index)?.gateway,
    linkLocal: isV4 ? undefined : addresses.find((entry) => entry.address.isLinkLocal)?.address,
  }
}

/** The interface of this name. */
export function findInterface(host: HostNetwork, name: string): NetworkInterface | undefined {
  return host.interfaces.find((candidate) => candidate.name === name)
}

/**
 * Routes of the main table that lead somewhere. Other tables only work together with the host's routing rules,
 * which the namespace doesn't get. Routes that every IPv6 interface has, link-local and multicast, are
 * left out.
 */
export function usableRoutes(host: HostNetwork, isV4: boolean): readonly Route[] {
  return host.routes.filter(
    (route) =>
      route.isV4 === isV4 &&
      route.table === TABLE_MAIN &&
      route.type === ROUTE_UNICAST &&
      !(route.prefix !== undefined && (route.prefix.isMulticast || (!isV4 && route.prefix.isLinkLocal))),
  )
}

/** True for the default route. */
export function isDefault(route: Route): boolean {
  return route.prefixLength === 0
}

/** True for an address that is usable, and will stay. */
export function isSettled(entry: InterfaceAddress): boolean {
  return (entry.flags & UNSETTLED) === 0
}

function defaultInterface(host: HostNetwork, isV4: boolean): NetworkInterface | undefined {
  const routes = usableRoutes(host, isV4)
  for (const wanted of [routes.filter(isDefault), routes]) {
    for (const route of wanted) {
      const hop = heaviest(route.nextHops)
      const found = host.interfaces.find((candidate) => candidate.index === hop?.interfaceIndex)
      if (found !== undefined && !found.isLoopback) return found
    }
  }
  return undefined
}

/** Of a multipath route, the first next hop with the highest weight, of those that use the interface. */
function chooseNextHop(route: Route, interfaceIndex: number): NextHop | undefined {
  return heaviest(route.nextHops.filter((hop) => hop.interfaceIndex === interfaceIndex))
}

function heaviest(hops: readonly NextHop[]): NextHop | undefined {
  let best: NextHop | undefined
  for (const hop of hops) if (best === undefined || hop.weight > best.weight) best = hop
  return best
}

/**
 * The address that the host itself would use: the default route's preferred source, else the first one that is settled,
 * global and primary. A link-local or temporary IPv4 or IPv6 address is better than none, but never a link-local IPv6
 * one: every interface has one, and it doesn't indicate a connection.
 */
function chooseAddress(
  addresses: readonly InterfaceAddress[],
  preferred: Address | undefined,
): InterfaceAddress | undefined {
  const candidates = addresses.filter(
    ({ address }) => address.isUnicast && !address.isLoopback && (address.isV4 || !address.isLinkLocal),
  )
  const settled = candidates.filter(isSettled)
  const global = settled.filter((entry) => entry.scope < Scope.link && !entry.address.isLinkLocal)
  const primary = global.filter((entry) => (entry.flags & AddressFlag.secondaryOrTemporary) === 0)
  const bySource = candidates.filter((entry) => preferred?.equals(entry.address))
  return [...bySource, ...primary, ...global, ...settled, ...candidates][0]
}
