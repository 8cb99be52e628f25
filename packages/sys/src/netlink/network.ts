/** A namespace's network: reading it, and setting it up. */
import type { HostNetwork, InterfaceAddress, Route } from "@demiflow/core"
import { SystemError } from "../errno.ts"
import { parseInterfaceAddress, writeAddressQuery, writeInterfaceAddress } from "./addresses.ts"
import { MessageType, NetlinkFlag, RouteTable } from "./constants.ts"
import { type LinkChanges, parseLink, writeLinkChanges, writeLinkQuery } from "./links.ts"
import { parseRoute, writeRoute, writeRouteQuery } from "./routes.ts"
import type { NetlinkSocket } from "./socket.ts"

/** Error numbers that mean "nothing there" or "there already". */
const ENOENT = 2
const EEXIST = 17
const EOPNOTSUPP = 95

/**
 * Lists interfaces, addresses, and the routes of one table, in the kernel's order. Throws `SystemError`.
 *
 * @param table main by default, so that a full Internet routing table kept elsewhere isn't read
 */
export function readNetwork(socket: NetlinkSocket, table: number = RouteTable.main): HostNetwork {
  return {
    interfaces: socket.list("list network interfaces", MessageType.getLink, writeLinkQuery, parseLink),
    addresses: socket.list("list addresses", MessageType.getAddress, writeAddressQuery, parseInterfaceAddress),
    routes: [...readRoutes(socket, true, table), ...readRoutes(socket, false, table)],
  }
}

function readRoutes(socket: NetlinkSocket, isV4: boolean, table: number): Route[] {
  const write = (writer: Parameters<typeof writeRouteQuery>[0]) => writeRouteQuery(writer, isV4, table)
  try {
    const routes = socket.list("list routes", MessageType.getRoute, write, parseRoute)
    return routes.filter((route) => route.table === table)
  } catch (error) {
    // A table that has never had a route, or an IP version that this host lacks.
    if (error instanceof SystemError && (error.errno === ENOENT || error.errno === EOPNOTSUPP)) return []
    throw error
  }
}

/** Changes an interface. Throws `SystemError`. */
export function changeLink(socket: NetlinkSocket, index: number, changes: LinkChanges): void {
  socket.request(`change the network interface ${index}`, MessageType.newLink, 0, (writer) =>
    writeLinkChanges(writer, index, changes),
  )
}

/** Adds an address, unless it exists already. Throws `SystemError`. */
export function addAddress(socket: NetlinkSocket, entry: InterfaceAddress): void {
  socket.request(
    `add the address ${entry.address}/${entry.prefixLength}`,
    MessageType.newAddress,
    NetlinkFlag.create | NetlinkFlag.replace,
    (writer) => writeInterfaceAddress(writer, entry),
  )
}

/** Adds a route, unless it exists already. Throws `SystemError`. */
export function addRoute(socket: NetlinkSocket, route: Route): void {
  try {
    setRoute(socket, "add", route, NetlinkFlag.append)
  } catch (error) {
    if (!(error instanceof SystemError && error.errno === EEXIST)) throw error
  }
}

/** Adds a route, replacing one to the same prefix with the same metric. Throws `SystemError`. */
export function replaceRoute(socket: NetlinkSocket, route: Route): void {
  setRoute(socket, "replace", route, NetlinkFlag.replace)
}

function setRoute(socket: NetlinkSocket, verb: string, route: Route, flag: number): void {
  const to = route.prefix === undefined ? "default route" : `route to ${route.prefix}/${route.prefixLength}`
  const action = `${verb} the IPv${route.isV4 ? 4 : 6} ${to}`
  socket.request(action, MessageType.newRoute, NetlinkFlag.create | flag, (writer) => writeRoute(writer, route))
}
