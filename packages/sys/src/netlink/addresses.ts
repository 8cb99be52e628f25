import { Address, type InterfaceAddress } from "@demiflow/core"
import { AddressAttribute, Family } from "./constants.ts"
import {
  attributes,
  bytesOf,
  MACHINE_ORDER,
  type Message,
  type MessageWriter,
  otherAttributes,
  type Range,
  uint32Of,
} from "./message.ts"

/** Bytes of `struct ifaddrmsg`. */
const ADDRESS_BYTES = 8
/** IFA_F_DEPRECATED */
const DEPRECATED = 0x20
/** INFINITY_LIFE_TIME */
const FOREVER = 0xffffffff

/**
 * Attributes that are parsed, and those that don't describe the address itself: its label names the interface, and its
 * lifetimes are renewed by others.
 */
const KNOWN = new Set<number>(Object.values(AddressAttribute))

/** The address that an RTM_NEWADDR message describes; undefined for one of another family or a malformed one. */
export function parseInterfaceAddress(view: DataView, message: Message): InterfaceAddress | undefined {
  const { offset, end } = message
  if (end - offset < ADDRESS_BYTES) return undefined
  const found = attributes(view, offset + ADDRESS_BYTES, end)
  // On a point-to-point link IFA_LOCAL is ours and IFA_ADDRESS the other end's. Otherwise they are the same, or only
  // the latter is present.
  const ours = readAddress(view, found.get(AddressAttribute.local))
  const other = readAddress(view, found.get(AddressAttribute.address))
  const address = ours ?? other
  if (address === undefined) return undefined
  const broadcast = readAddress(view, found.get(AddressAttribute.broadcast))
  const routeMetric = uint32Of(view, found.get(AddressAttribute.routeMetric))
  const others = otherAttributes(view, found, KNOWN)
  return {
    interfaceIndex: view.getUint32(offset + 4, MACHINE_ORDER),
    address,
    prefixLength: view.getUint8(offset + 1),
    scope: view.getUint8(offset + 3),
    flags: uint32Of(view, found.get(AddressAttribute.flags)) ?? view.getUint8(offset + 2),
    ...(other !== undefined && !other.equals(address) && { pointToPoint: other }),
    ...(broadcast !== undefined && { broadcast }),
    ...(routeMetric !== undefined && { routeMetric }),
    ...(others.length > 0 && { attributes: others }),
  }
}

/** Writes an RTM_GETADDR request for all addresses. */
export function writeAddressQuery(writer: MessageWriter): void {
  writer.uint8(Family.unspecified, 0, 0, 0).uint32(0)
}

/** Writes an RTM_NEWADDR request that adds an address. */
export function writeInterfaceAddress(writer: MessageWriter, entry: InterfaceAddress): void {
  const { address, prefixLength, pointToPoint, broadcast, routeMetric } = entry
  writer.uint8(address.isV4 ? Family.ipv4 : Family.ipv6, prefixLength, entry.flags & 0xff, entry.scope)
  writer.uint32(entry.interfaceIndex)
  writer.attributeBytes(AddressAttribute.local, address.toBytes())
  writer.attributeBytes(AddressAttribute.address, (pointToPoint ?? address).toBytes())
  if (broadcast !== undefined) writer.attributeBytes(AddressAttribute.broadcast, broadcast.toBytes())
  writer.attributeUint32(AddressAttribute.flags, entry.flags)
  if (routeMetric !== undefined) writer.attributeUint32(AddressAttribute.routeMetric, routeMetric)
  writer.attributes(entry.attributes)
  if (entry.flags & DEPRECATED) writer.attribute(AddressAttribute.cacheInformation, () => writeDeprecated(writer))
}

/**
 * Writes a `struct ifa_cacheinfo`: preferred for no time, valid for ever. The kernel derives the flag from it alone.
 */
function writeDeprecated(writer: MessageWriter): void {
  writer.uint32(0).uint32(FOREVER).uint32(0).uint32(0)
}

/** The address in an attribute; undefined if it holds neither an IPv4 nor an IPv6 address. */
export function readAddress(view: DataView, range: Range | undefined): Address | undefined {
  if (range === undefined) return undefined
  const length = range.end - range.offset
  return length === 4 || length === 16 ? Address.fromBytes(bytesOf(view, range)) : undefined
}
