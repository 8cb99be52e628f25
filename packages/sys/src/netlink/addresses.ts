import { Address, type InterfaceAddress } from "@demiflow/core"
import { AddressAttribute, Family } from "./constants.ts"
import {
  attributes,
  bytesOf,
  MACHINE_ORDER,
  type Message,
  type MessageWriter,
  type Range,
  uint32Of,
} from "./message.ts"

/** Bytes of `struct ifaddrmsg`. */
const ADDRESS_BYTES = 8

/** The address that an RTM_NEWADDR message describes; undefined for one of another family or a malformed one. */
export function parseInterfaceAddress(view: DataView, message: Message): InterfaceAddress | undefined {
  const { offset, end } = message
  if (end - offset < ADDRESS_BYTES) return undefined
  const found = attributes(view, offset + ADDRESS_BYTES, end)
  // On a point-to-point link IFA_LOCAL is ours and IFA_ADDRESS the other end's; else they are the same, or only the
  // latter is there.
  const ours = readAddress(view, found.get(AddressAttribute.local))
  const other = readAddress(view, found.get(AddressAttribute.address))
  const address = ours ?? other
  if (address === undefined) return undefined
  const entry: InterfaceAddress = {
    interfaceIndex: view.getUint32(offset + 4, MACHINE_ORDER),
    address,
    prefixLength: view.getUint8(offset + 1),
    scope: view.getUint8(offset + 3),
    flags: uint32Of(view, found.get(AddressAttribute.flags)) ?? view.getUint8(offset + 2),
  }
  return other === undefined || other.equals(address) ? entry : { ...entry, pointToPoint: other }
}

/** What RTM_GETADDR takes to list all addresses. */
export function writeAddressQuery(writer: MessageWriter): void {
  writer.uint8(Family.unspecified, 0, 0, 0).uint32(0)
}

/** What RTM_NEWADDR takes to add an address. */
export function writeInterfaceAddress(writer: MessageWriter, entry: InterfaceAddress): void {
  const { address, prefixLength, pointToPoint } = entry
  writer.uint8(address.isV4 ? Family.ipv4 : Family.ipv6, prefixLength, entry.flags & 0xff, entry.scope)
  writer.uint32(entry.interfaceIndex)
  writer.attributeBytes(AddressAttribute.local, address.toBytes())
  writer.attributeBytes(AddressAttribute.address, (pointToPoint ?? address).toBytes())
  const broadcast = pointToPoint === undefined ? broadcastOf(address, prefixLength) : undefined
  if (broadcast !== undefined) writer.attributeBytes(AddressAttribute.broadcast, broadcast.toBytes())
  writer.attributeUint32(AddressAttribute.flags, entry.flags)
}

/** The subnet's broadcast address, where there is one: IPv4 with room for it (RFC 3021 has none in a /31). */
function broadcastOf(address: Address, prefixLength: number): Address | undefined {
  if (!address.isV4 || prefixLength > 30) return undefined
  return Address.fromV4(address.word3 | (prefixLength === 0 ? -1 : 0xffffffff >>> prefixLength))
}

/** The address in an attribute; undefined if there is none of either family. */
export function readAddress(view: DataView, range: Range | undefined): Address | undefined {
  if (range === undefined) return undefined
  const length = range.end - range.offset
  return length === 4 || length === 16 ? Address.fromBytes(bytesOf(view, range)) : undefined
}
