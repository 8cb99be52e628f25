import { type Address, EtherType, type MacAddress } from "@demiflow/core"
import {
  ARP_LENGTH,
  ETHERNET_ADDRESS_LENGTH,
  HARDWARE_ETHERNET,
  HARDWARE_LENGTH,
  HARDWARE_TYPE,
  IPV4_ADDRESS_LENGTH,
  OPERATION,
  Operation,
  PROTOCOL_LENGTH,
  PROTOCOL_TYPE,
  SENDER_ADDRESS,
  SENDER_MAC,
  TARGET_ADDRESS,
  TARGET_MAC,
} from "./wire.ts"

/** The ways in which a packet can be malformed. */
export type ArpMalformation = "truncated" | "hardware type" | "protocol type" | "operation" | "sender"

/** An ARP packet. Reading reuses the object and its addresses. */
export interface ArpPacket {
  /** 1 for a request, 2 for a reply. */
  operation: number
  readonly senderMac: MacAddress
  /** 0.0.0.0 in a probe (RFC 5227, section 2.1.1). */
  readonly senderAddress: Address
  readonly targetMac: MacAddress
  readonly targetAddress: Address
}

/**
 * Reads the packet between two offsets into `packet`. Returns what is wrong with the packet, or undefined. Bytes behind
 * the packet are padding.
 */
export function readArp(view: DataView, offset: number, end: number, packet: ArpPacket): ArpMalformation | undefined {
  if (end - offset < ARP_LENGTH) return "truncated"
  // RFC 826 reception (hardware) MUST: a packet of another hardware type is not handled
  if (view.getUint16(offset + HARDWARE_TYPE) !== HARDWARE_ETHERNET) return "hardware type"
  if (view.getUint8(offset + HARDWARE_LENGTH) !== ETHERNET_ADDRESS_LENGTH) return "hardware type"
  // RFC 826 reception (protocol) MUST: a packet about another protocol is not handled
  if (view.getUint16(offset + PROTOCOL_TYPE) !== EtherType.ipv4) return "protocol type"
  if (view.getUint8(offset + PROTOCOL_LENGTH) !== IPV4_ADDRESS_LENGTH) return "protocol type"
  packet.operation = view.getUint16(offset + OPERATION)
  if (packet.operation !== Operation.request && packet.operation !== Operation.reply) return "operation"
  packet.senderMac.read(view, offset + SENDER_MAC)
  if (packet.senderMac.isMulticast || packet.senderMac.isZero) return "sender"
  packet.senderAddress.readV4(view, offset + SENDER_ADDRESS)
  packet.targetMac.read(view, offset + TARGET_MAC)
  packet.targetAddress.readV4(view, offset + TARGET_ADDRESS)
  return undefined
}

/** Writes the packet, {@link ARP_LENGTH} bytes. */
export function writeArp(view: DataView, offset: number, packet: Readonly<ArpPacket>): void {
  view.setUint16(offset + HARDWARE_TYPE, HARDWARE_ETHERNET)
  view.setUint16(offset + PROTOCOL_TYPE, EtherType.ipv4)
  view.setUint8(offset + HARDWARE_LENGTH, ETHERNET_ADDRESS_LENGTH)
  view.setUint8(offset + PROTOCOL_LENGTH, IPV4_ADDRESS_LENGTH)
  view.setUint16(offset + OPERATION, packet.operation)
  packet.senderMac.write(view, offset + SENDER_MAC)
  packet.senderAddress.writeV4(view, offset + SENDER_ADDRESS)
  packet.targetMac.write(view, offset + TARGET_MAC)
  packet.targetAddress.writeV4(view, offset + TARGET_ADDRESS)
}
