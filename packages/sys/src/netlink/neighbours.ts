import { type Address, MacAddress } from "@demiflow/core"
import { readAddress } from "./addresses.ts"
import { Family, MessageType, NeighbourAttribute, NeighbourState } from "./constants.ts"
import { attributes, MACHINE_ORDER, type Message, type MessageWriter } from "./message.ts"

/** Bytes of `struct ndmsg`. */
const NEIGHBOUR_BYTES = 12
const MAC_BYTES = 6
const KNOWN_STATES = Object.values(NeighbourState).reduce((states, state) => states | state, 0)

/** Indexes of the interfaces whose neighbours count, for each version of IP; undefined: none. */
export interface NeighbourInterfaces {
  readonly v4: number | undefined
  readonly v6: number | undefined
}

/** A neighbour of the host, with its Ethernet address. */
export interface HostNeighbour {
  readonly address: Address
  readonly macAddress: MacAddress
}

/**
 * The neighbour that an RTM_NEWNEIGH message describes. Undefined for a group, a neighbour on another interface, one
 * whose Ethernet address doesn't exist or isn't known, and a malformed message.
 */
export function parseNeighbour(
  view: DataView,
  { type, offset, end }: Message,
  interfaces: NeighbourInterfaces,
): HostNeighbour | undefined {
  if (type !== MessageType.newNeighbour || end - offset < NEIGHBOUR_BYTES) return undefined
  const family = view.getUint8(offset)
  const wanted = family === Family.ipv4 ? interfaces.v4 : family === Family.ipv6 ? interfaces.v6 : undefined
  if (view.getInt32(offset + 4, MACHINE_ORDER) !== wanted) return undefined
  if ((view.getUint16(offset + 8, MACHINE_ORDER) & KNOWN_STATES) === 0) return undefined
  const found = attributes(view, offset + NEIGHBOUR_BYTES, end)
  const address = readAddress(view, found.get(NeighbourAttribute.destination))
  const mac = found.get(NeighbourAttribute.linkLayerAddress)
  if (!address?.isUnicast || mac === undefined || mac.end - mac.offset !== MAC_BYTES) return undefined
  return { address, macAddress: new MacAddress().read(view, mac.offset) }
}

/** Writes an RTM_GETNEIGH request for the neighbours of one IP version on one interface. */
export function writeNeighbourQuery(writer: MessageWriter, isV4: boolean, interfaceIndex: number): void {
  writer
    .uint8(isV4 ? Family.ipv4 : Family.ipv6, 0)
    .uint16(0)
    .uint32(0)
    .uint16(0)
    .uint8(0, 0)
    .attributeUint32(NeighbourAttribute.interfaceIndex, interfaceIndex)
}
