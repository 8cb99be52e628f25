import { MacAddress, type NetworkInterface } from "@demiflow/core"
import { LinkAttribute, LinkFlag, SKIP_STATISTICS } from "./constants.ts"
import { attributes, MACHINE_ORDER, type Message, type MessageWriter, textOf, uint32Of } from "./message.ts"

/** Bytes of `struct ifinfomsg`. */
const LINK_BYTES = 16
const MAC_BYTES = 6

/** What to change about an interface; undefined leaves it unchanged. */
export interface LinkChanges {
  readonly isUp?: boolean
  /** Bytes. */
  readonly mtu?: number | undefined
  readonly macAddress?: MacAddress | undefined
}

/** The interface that an RTM_NEWLINK message describes; undefined for a malformed one. */
export function parseLink(view: DataView, message: Message): NetworkInterface | undefined {
  if (message.end - message.offset < LINK_BYTES) return undefined
  const index = view.getInt32(message.offset + 4, MACHINE_ORDER)
  const flags = view.getUint32(message.offset + 8, MACHINE_ORDER)
  const found = attributes(view, message.offset + LINK_BYTES, message.end)
  const name = textOf(view, found.get(LinkAttribute.name))
  if (name === undefined) return undefined
  const mac = found.get(LinkAttribute.address)
  return {
    index,
    name,
    macAddress: mac && mac.end - mac.offset === MAC_BYTES ? new MacAddress().read(view, mac.offset) : undefined,
    mtu: uint32Of(view, found.get(LinkAttribute.mtu)) ?? 0,
    isUp: (flags & LinkFlag.up) !== 0,
    isLoopback: (flags & LinkFlag.loopback) !== 0,
  }
}

/** Writes an RTM_GETLINK request for all interfaces. */
export function writeLinkQuery(writer: MessageWriter): void {
  writeHeader(writer, 0, 0, 0)
  writer.attributeUint32(LinkAttribute.extendedMask, SKIP_STATISTICS)
}

/** Writes an RTM_NEWLINK request that changes an interface. */
export function writeLinkChanges(writer: MessageWriter, index: number, changes: LinkChanges): void {
  const changed = changes.isUp === undefined ? 0 : LinkFlag.up
  writeHeader(writer, index, changes.isUp ? LinkFlag.up : 0, changed)
  if (changes.mtu !== undefined) writer.attributeUint32(LinkAttribute.mtu, changes.mtu)
  if (changes.macAddress !== undefined) {
    const bytes = new Uint8Array(MAC_BYTES)
    changes.macAddress.write(new DataView(bytes.buffer), 0)
    writer.attributeBytes(LinkAttribute.address, bytes)
  }
}

function writeHeader(writer: MessageWriter, index: number, flags: number, changed: number): void {
  writer.uint8(0, 0).uint16(0).uint32(index).uint32(flags).uint32(changed)
}
