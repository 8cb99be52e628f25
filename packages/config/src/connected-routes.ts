/**
 * Connected routes: those for the prefix of an address, which the kernel adds with the address, removes with it, and
 * adds again whenever the interface comes up.
 *
 * The first `ip link set … down` would delete a copied connected route for good. So the kernel adds
 * its own, with the metric of the host's route. If the host's route still differs (set up by
 * a DHCP client, or with an MTU of its own), it replaces the kernel's, which returns after the next "down".
 */
import type { Address, InterfaceAddress, Route } from "@demiflow/core"
import { AddressFlag, RouteProtocol, V6_CONNECTED_METRIC } from "./rtnetlink.ts"

const V4_BITS = 32

/** The addresses and routes to set up, in this order. */
export interface ConnectedNetwork {
  /** With the flags and metrics that make the kernel add the right routes. */
  readonly addresses: readonly InterfaceAddress[]
  /** Routes that replace those that the kernel has added. */
  readonly replacing: readonly Route[]
  /** All other routes. */
  readonly routes: readonly Route[]
}

/**
 * Has the kernel add the connected routes.
 *
 * @param addresses in the order in which they are set up
 * @param routes all routes of the namespace, in an order in which gateways are reachable
 * @param isOfHost true for an address that the host has as well: its connected route is among `routes`, or must not
 *   exist
 */
export function connect(
  addresses: readonly InterfaceAddress[],
  routes: readonly Route[],
  isOfHost: (entry: InterfaceAddress) => boolean,
): ConnectedNetwork {
  const added: Route[] = []
  const replacing: Route[] = []
  const connected = addresses.map((entry, index): InterfaceAddress => {
    const { routeMetric: _, ...rest } = entry
    const networks = connectedNetworks(entry)
    if (networks.length === 0 || isSecondary(entry, addresses.slice(0, index))) return rest
    const found = networks.flatMap((network) => chooseConnected(network, entry, routes) ?? [])
    if (found.length === 0) return isOfHost(entry) ? { ...rest, flags: entry.flags | AddressFlag.noPrefixRoute } : rest
    for (const route of found) {
      if (isAsKernelAdds(route, entry)) added.push(route)
      else if (!replacing.includes(route)) replacing.push(route)
    }
    const metric = found[0]?.metric
    return {
      ...rest,
      flags: entry.flags & ~AddressFlag.noPrefixRoute,
      ...(metric !== undefined && metric !== defaultMetric(entry) && { routeMetric: metric }),
    }
  })
  const others = routes.filter((route) => !added.includes(route) && !replacing.includes(route))
  return { addresses: connected, replacing, routes: others }
}

/** The networks to which the kernel adds a route; none for a /32 IPv4 address. */
function connectedNetworks({ address, prefixLength, pointToPoint }: InterfaceAddress): Address[] {
  if (!address.isV4) return pointToPoint === undefined ? [address] : [address, pointToPoint]
  return pointToPoint === undefined && prefixLength === V4_BITS ? [] : [pointToPoint ?? address]
}

/** True for an IPv4 address in the network of an earlier one, whose route serves both. */
function isSecondary(entry: InterfaceAddress, earlier: readonly InterfaceAddress[]): boolean {
  const [network] = connectedNetworks(entry)
  return earlier.some(
    (other) =>
      entry.address.isV4 &&
      other.prefixLength === entry.prefixLength &&
      network !== undefined &&
      (other.pointToPoint ?? other.address).sharesPrefix(network, entry.prefixLength),
  )
}

/** Of the routes to a network, the one most similar to the kernel's. */
function chooseConnected(network: Address, entry: InterfaceAddress, routes: readonly Route[]): Route | undefined {
  const candidates = routes.filter(
    (route) =>
      route.prefixLength === entry.prefixLength &&
      route.prefix?.sharesPrefix(network, entry.prefixLength) === true &&
      route.nextHops.length === 1 &&
      route.nextHops[0]?.gateway === undefined &&
      route.sourcePrefix === undefined &&
      route.typeOfService === undefined,
  )
  return (
    candidates.find((route) => isAsKernelAdds(route, entry) && route.metric === entry.routeMetric) ??
    candidates.find((route) => isAsKernelAdds(route, entry)) ??
    candidates.find((route) => route.protocol === RouteProtocol.kernel) ??
    candidates[0]
  )
}

/** True if the route differs at most by its metric from the one that the kernel adds. */
function isAsKernelAdds(route: Route, { address }: InterfaceAddress): boolean {
  const source = route.preferredSource
  return (
    route.protocol === RouteProtocol.kernel &&
    route.attributes === undefined &&
    (address.isV4 ? source?.equals(address) === true : source === undefined)
  )
}

function defaultMetric({ address }: InterfaceAddress): number | undefined {
  return address.isV4 ? undefined : V6_CONNECTED_METRIC
}
