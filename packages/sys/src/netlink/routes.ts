import type { Address, NextHop, RawAttribute, Route } from "@demiflow/core"
import { readAddress } from "./addresses.ts"
import { Family, MessageType, ROUTE_CLONED, RouteAttribute } from "./constants.ts"
import {
  align,
  attributes,
  MACHINE_ORDER,
  type Message,
  type MessageWriter,
  otherAttributes,
  type Range,
  uint32Of,
} from "./message.ts"

/** Bytes of `struct rtmsg`. */
const ROUTE_BYTES = 12
/** Bytes of `struct rtnexthop`. */
const NEXT_HOP_BYTES = 8

/** RTA_PREF (RFC 4191), which every IPv6 route has, and its default value. */
const ROUTER_PREFERENCE = 20
const MEDIUM = 0
/**
 * Attributes that are parsed, and those that don't describe the route itself: when it was used and when it ends, and
 * the number of a next hop object, whose content comes with it.
 */
const KNOWN = new Set<number>(Object.values(RouteAttribute))

/**
 * The route that an RTM_NEWROUTE message describes. Undefined for another address family, a route learnt for a single
 * destination, and a malformed message.
 */
export function parseRoute(view: DataView, message: Message): Route | undefined {
  const { offset, end } = message
  if (end - offset < ROUTE_BYTES) return undefined
  const family = view.getUint8(offset)
  const flags = view.getUint32(offset + 8, MACHINE_ORDER)
  if ((family !== Family.ipv4 && family !== Family.ipv6) || flags & ROUTE_CLONED) return undefined
  const found = attributes(view, offset + ROUTE_BYTES, end)
  const prefixLength = view.getUint8(offset + 1)
  const sourcePrefix = readAddress(view, found.get(RouteAttribute.source))
  const typeOfService = view.getUint8(offset + 3)
  return {
    isV4: family === Family.ipv4,
    prefix: prefixLength === 0 ? undefined : readAddress(view, found.get(RouteAttribute.destination)),
    prefixLength,
    ...(sourcePrefix !== undefined && { sourcePrefix, sourcePrefixLength: view.getUint8(offset + 2) }),
    ...(typeOfService !== 0 && { typeOfService }),
    table: uint32Of(view, found.get(RouteAttribute.table)) ?? view.getUint8(offset + 4),
    protocol: view.getUint8(offset + 5),
    scope: view.getUint8(offset + 6),
    type: view.getUint8(offset + 7),
    metric: uint32Of(view, found.get(RouteAttribute.metric)),
    preferredSource: readAddress(view, found.get(RouteAttribute.preferredSource)),
    nextHops: parseNextHops(view, found, flags & 0xff),
    ...attributesBeside(view, found),
  }
}

/** RTN_… of the route that an RTM_NEWROUTE message describes; undefined for a malformed one. */
export function parseRouteType(view: DataView, { type, offset, end }: Message): number | undefined {
  if (type !== MessageType.newRoute || end - offset < ROUTE_BYTES) return undefined
  return view.getUint8(offset + 7)
}

/** Writes an RTM_GETROUTE request for the routes of one table. A kernel that can't select a table lists all. */
export function writeRouteQuery(writer: MessageWriter, isV4: boolean, table: number): void {
  writer.uint8(isV4 ? Family.ipv4 : Family.ipv6, 0, 0, 0, 0, 0, 0, 0).uint32(0)
  writer.attributeUint32(RouteAttribute.table, table)
}

/** Writes an RTM_NEWROUTE request that adds a route. */
export function writeRoute(writer: MessageWriter, route: Route): void {
  const { isV4, prefix, nextHops } = route
  const single = nextHops.length === 1 ? nextHops[0] : undefined
  const { sourcePrefix, sourcePrefixLength = 0, typeOfService = 0 } = route
  writer.uint8(isV4 ? Family.ipv4 : Family.ipv6, prefix === undefined ? 0 : route.prefixLength)
  writer.uint8(sourcePrefix === undefined ? 0 : sourcePrefixLength, typeOfService)
  // Tables beyond 255 don't fit here, only in the attribute.
  writer.uint8(route.table > 255 ? 0 : route.table, route.protocol, route.scope, route.type)
  writer.uint32(single?.flags ?? 0)
  if (prefix !== undefined) writer.attributeBytes(RouteAttribute.destination, prefix.toBytes())
  if (sourcePrefix !== undefined) writer.attributeBytes(RouteAttribute.source, sourcePrefix.toBytes())
  writer.attributeUint32(RouteAttribute.table, route.table)
  if (route.metric !== undefined) writer.attributeUint32(RouteAttribute.metric, route.metric)
  if (route.preferredSource !== undefined) {
    writer.attributeBytes(RouteAttribute.preferredSource, route.preferredSource.toBytes())
  }
  if (single !== undefined) {
    writer.attributeUint32(RouteAttribute.outputInterface, single.interfaceIndex)
    writeGateway(writer, isV4, single.gateway)
    writer.attributes(single.attributes)
  } else if (nextHops.length > 1) {
    writer.attribute(RouteAttribute.multipath, () => {
      for (const hop of nextHops) writeNextHop(writer, isV4, hop)
    })
  }
  writer.attributes(route.attributes)
}

function writeNextHop(writer: MessageWriter, isV4: boolean, hop: NextHop): void {
  writer.record(() => {
    writer.uint8(hop.flags, hop.weight - 1).uint32(hop.interfaceIndex)
    writeGateway(writer, isV4, hop.gateway)
    writer.attributes(hop.attributes)
  })
}

/** Writes the gateway. An IPv4 route may have an IPv6 gateway (RFC 5549), which has an attribute of its own. */
function writeGateway(writer: MessageWriter, isV4: boolean, gateway: Address | undefined): void {
  if (gateway === undefined) return
  if (gateway.isV4 === isV4) {
    writer.attributeBytes(RouteAttribute.gateway, gateway.toBytes())
    return
  }
  writer.attribute(RouteAttribute.via, () => {
    writer.uint16(gateway.isV4 ? Family.ipv4 : Family.ipv6).bytes(gateway.toBytes())
  })
}

function parseNextHops(view: DataView, found: Map<number, Range>, flags: number): NextHop[] {
  const multipath = found.get(RouteAttribute.multipath)
  if (multipath !== undefined) return parseMultipath(view, multipath)
  const interfaceIndex = uint32Of(view, found.get(RouteAttribute.outputInterface))
  if (interfaceIndex === undefined) return []
  return [{ interfaceIndex, gateway: readGateway(view, found), weight: 1, flags }]
}

function parseMultipath(view: DataView, range: Range): NextHop[] {
  const hops: NextHop[] = []
  let at = range.offset
  while (at + NEXT_HOP_BYTES <= range.end) {
    const size = view.getUint16(at, MACHINE_ORDER)
    if (size < NEXT_HOP_BYTES || at + size > range.end) break
    const found = attributes(view, at + NEXT_HOP_BYTES, at + size)
    hops.push({
      interfaceIndex: view.getInt32(at + 4, MACHINE_ORDER),
      gateway: readGateway(view, found),
      weight: view.getUint8(at + 3) + 1,
      flags: view.getUint8(at + 2),
      ...attributesBeside(view, found),
    })
    at += align(size)
  }
  return hops
}

function readGateway(view: DataView, found: Map<number, Range>): Address | undefined {
  const via = found.get(RouteAttribute.via)
  if (via !== undefined) return readAddress(view, { offset: via.offset + 2, end: via.end })
  return readAddress(view, found.get(RouteAttribute.gateway))
}

/** The attributes that are neither parsed nor transient; an empty object if there are none. */
function attributesBeside(view: DataView, found: Map<number, Range>): { attributes?: readonly RawAttribute[] } {
  const others = otherAttributes(view, found, KNOWN).filter(
    ({ type, bytes }) => type !== ROUTER_PREFERENCE || bytes[0] !== MEDIUM,
  )
  return others.length > 0 ? { attributes: others } : {}
}
