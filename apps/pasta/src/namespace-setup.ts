/** Sets up the network namespace. */
import { type Configuration, type NamespaceNetwork, TAP_INTERFACE_INDEX } from "@demiflow/config"
import type { Arena, Log, MacAddress, NextHop, Route } from "@demiflow/core"
import { Quit } from "@demiflow/program/command"
import {
  addAddress,
  addRoute,
  changeLink,
  type Native,
  NetlinkSocket,
  type NetworkNamespace,
  OpenFlag,
  readNetwork,
  replaceRoute,
  SystemError,
} from "@demiflow/sys"

const LOOPBACK_INDEX = 1
/** EACCES: IPv6 is disabled on the interface. EOPNOTSUPP and EAFNOSUPPORT: the kernel lacks it. */
const V6_DISABLED: readonly number[] = [13, 95, 97]

/**
 * Brings up the loopback interface, without which ports can't be bound on its addresses, and sets up the tap interface
 * with the namespace's network, if the configuration has one. Returns the tap interface's Ethernet address if its MTU
 * was set, else undefined. Throws an error with a `code`.
 *
 * @param tapName name of the tap interface; undefined: there is none
 */
export function setUpNamespace(
  native: Native,
  arena: Arena,
  namespace: NetworkNamespace,
  tapName: string | undefined,
  configuration: Configuration,
  log: Log,
): MacAddress | undefined {
  const socket = new NetlinkSocket(native, arena, namespace)
  try {
    changeLink(socket, LOOPBACK_INDEX, { isUp: true })
    const network = configuration.namespace?.network
    const macAddress = configuration.namespace?.macAddress
    if (tapName === undefined || (network === undefined && macAddress === undefined)) return undefined
    const found = readNetwork(socket).interfaces.find(({ name }) => name === tapName)
    if (found === undefined) throw new Quit(`The network interface ${tapName} has disappeared from the namespace`)
    const { index } = found
    if (macAddress !== undefined) changeLink(socket, index, { macAddress })
    if (network === undefined) return undefined
    prepareIpv6(native, arena, namespace, tapName)
    changeLink(socket, index, { mtu: configuration.mtu, isUp: true })
    setUpNetwork(socket, index, network, log)
    return configuration.mtu === undefined ? undefined : (macAddress ?? found.macAddress)
  } finally {
    socket.close()
  }
}

function setUpNetwork(socket: NetlinkSocket, index: number, network: NamespaceNetwork, log: Log): void {
  const here = (place: number): number => (place === TAP_INTERFACE_INDEX ? index : place)
  const routeHere = (route: Route): Route => {
    const nextHops = route.nextHops.map((hop): NextHop => ({ ...hop, interfaceIndex: here(hop.interfaceIndex) }))
    return { ...route, nextHops }
  }
  let hasV6 = true
  const set = (isV4: boolean, change: () => void): void => {
    if (!isV4 && !hasV6) return
    try {
      change()
    } catch (error) {
      if (isV4 || !(error instanceof SystemError) || !V6_DISABLED.includes(error.errno)) throw error
      hasV6 = false
      log.warning("IPv6 is disabled in the namespace (sysctl net.ipv6.conf.all.disable_ipv6): it gets IPv4 only")
    }
  }
  for (const entry of network.addresses) {
    set(entry.address.isV4, () => addAddress(socket, { ...entry, interfaceIndex: here(entry.interfaceIndex) }))
  }
  for (const route of network.replacing) set(route.isV4, () => setRoute(socket, replaceRoute, routeHere(route), log))
  for (const route of network.routes) set(route.isV4, () => setRoute(socket, addRoute, routeHere(route), log))
}

/**
 * Adds a route; without its attributes if need be. A route of the host may have attributes that this namespace may not
 * set (a congestion control, an encapsulation): a route without them is better than none.
 */
function setRoute(socket: NetlinkSocket, set: typeof addRoute, route: Route, log: Log): void {
  try {
    set(socket, route)
  } catch (error) {
    const plain = withoutAttributes(route)
    if (plain === undefined || !(error instanceof SystemError)) throw error
    set(socket, plain)
    log.warning(`${error.message}: set up without its attributes`)
  }
}

/** Returns undefined if the route has none. */
function withoutAttributes({ attributes, ...route }: Route): Route | undefined {
  if (attributes === undefined && route.nextHops.every((hop) => hop.attributes === undefined)) return undefined
  return { ...route, nextHops: route.nextHops.map(({ attributes: _, ...hop }) => hop) }
}

/**
 * Makes the kernel use the interface's own link-local address at once: otherwise duplicate address detection (RFC 4862,
 * section 5.4) would delay IPv6 by a second or two, though there is no other host. Also makes the kernel keep IPv6
 * addresses when the interface goes down, as it keeps IPv4 ones: nothing would set them up again.
 */
function prepareIpv6(native: Native, arena: Arena, namespace: NetworkNamespace, tapName: string): void {
  const value = arena.reserve(1, 1, "the set-up of the namespace")
  for (const [name, digit] of [
    ["accept_dad", "0"],
    ["keep_addr_on_down", "1"],
  ] as const) {
    const path = `/proc/sys/net/ipv6/conf/${tapName}/${name}`
    const descriptor = namespace.open(path, OpenFlag.writeOnly)
    // Without IPv6 in the kernel, the file doesn't exist.
    if (descriptor < 0) continue
    arena.bytes[value] = digit.charCodeAt(0)
    namespace.write(descriptor, value, 1)
    native.close(descriptor)
  }
}
