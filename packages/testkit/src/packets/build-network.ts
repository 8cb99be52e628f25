/** Builders for Ethernet, ARP, IPv4 and IPv6. */
import {
  type Address,
  ETHERNET_HEADER_LENGTH,
  EtherType,
  finishChecksum,
  IPV4_HEADER_LENGTH,
  IPV6_FRAGMENT_HEADER_LENGTH,
  IPV6_HEADER_LENGTH,
  IpProtocol,
  MacAddress,
} from "@demiflow/core"
import { type AddressLike, toAddress } from "../host/world.ts"
import { join, type Layer, sumOf, viewOf } from "./layer.ts"

/** An Ethernet address as its class, or as text. */
export type MacLike = MacAddress | string

/** An Ethernet address as its class. */
export function toMac(mac: MacLike): MacAddress {
  return typeof mac === "string" ? MacAddress.parse(mac) : mac
}

/** Fields of an Ethernet header. */
export interface EthernetFields {
  readonly source?: MacLike
  readonly target?: MacLike
  /** By default, the type of the next layer. */
  readonly etherType?: number
}

/** An Ethernet header, broadcast from 02:00:00:00:00:02 unless given. */
export function ethernet(fields: EthernetFields = {}): Layer {
  return {
    build(inner, _outer, next) {
      const header = new Uint8Array(ETHERNET_HEADER_LENGTH)
      const view = viewOf(header)
      toMac(fields.target ?? "ff:ff:ff:ff:ff:ff").write(view, 0)
      toMac(fields.source ?? "02:00:00:00:00:02").write(view, 6)
      view.setUint16(12, fields.etherType ?? next?.etherType ?? 0xffff)
      return join(header, inner)
    },
  }
}

/** Fields of an ARP packet (RFC 826). */
export interface ArpFields {
  readonly operation: "request" | "reply" | number
  readonly senderMac: MacLike
  readonly senderAddress: AddressLike
  readonly targetMac?: MacLike
  readonly targetAddress: AddressLike
}

/** An ARP packet for IPv4 over Ethernet. */
export function arp(fields: ArpFields): Layer {
  return {
    etherType: EtherType.arp,
    build(inner) {
      const packet = new Uint8Array(28)
      const view = viewOf(packet)
      const { operation } = fields
      view.setUint16(0, 1)
      view.setUint16(2, EtherType.ipv4)
      view.setUint8(4, 6)
      view.setUint8(5, 4)
      view.setUint16(6, operation === "request" ? 1 : operation === "reply" ? 2 : operation)
      toMac(fields.senderMac).write(view, 8)
      toAddress(fields.senderAddress).writeV4(view, 14)
      toMac(fields.targetMac ?? "00:00:00:00:00:00").write(view, 18)
      toAddress(fields.targetAddress).writeV4(view, 24)
      return join(packet, inner)
    },
  }
}

/** Fields of an IPv4 header (RFC 791). */
export interface Ipv4Fields {
  readonly source: AddressLike
  readonly target: AddressLike
  readonly protocol?: number
  readonly timeToLive?: number
  readonly typeOfService?: number
  readonly identification?: number
  readonly doNotFragment?: boolean
  readonly moreFragments?: boolean
  /** Bytes, a multiple of eight. */
  readonly fragmentOffset?: number
  /** Options, filled up with zeros to a multiple of four bytes. */
  readonly options?: Uint8Array
  /** 4 unless wrong on purpose. */
  readonly version?: number
  /** In words of four bytes. */
  readonly headerLength?: number
  readonly totalLength?: number
  readonly checksum?: number
}

/** An IPv4 header. */
export function ipv4(fields: Ipv4Fields): Layer {
  const source = toAddress(fields.source)
  const target = toAddress(fields.target)
  return {
    etherType: EtherType.ipv4,
    pseudoHeader: { source, target },
    build(inner, _outer, next) {
      const options = fields.options ?? new Uint8Array(0)
      const header = new Uint8Array(IPV4_HEADER_LENGTH + ((options.length + 3) & ~3))
      const view = viewOf(header)
      view.setUint8(0, ((fields.version ?? 4) << 4) | (fields.headerLength ?? header.length / 4))
      view.setUint8(1, fields.typeOfService ?? 0)
      view.setUint16(2, fields.totalLength ?? header.length + inner.length)
      view.setUint16(4, fields.identification ?? 0)
      const flags = (fields.doNotFragment ? 0x4000 : 0) | (fields.moreFragments ? 0x2000 : 0)
      view.setUint16(6, flags | ((fields.fragmentOffset ?? 0) >> 3))
      view.setUint8(8, fields.timeToLive ?? 64)
      view.setUint8(9, fields.protocol ?? next?.ipProtocol ?? 255)
      source.writeV4(view, 12)
      target.writeV4(view, 16)
      header.set(options, IPV4_HEADER_LENGTH)
      view.setUint16(10, fields.checksum ?? finishChecksum(sumOf(header)))
      return join(header, inner)
    },
  }
}

/** Fields of an IPv6 header (RFC 8200). */
export interface Ipv6Fields {
  readonly source: AddressLike
  readonly target: AddressLike
  readonly nextHeader?: number
  readonly hopLimit?: number
  readonly trafficClass?: number
  readonly flowLabel?: number
  readonly version?: number
  readonly payloadLength?: number
}

/** An IPv6 header. */
export function ipv6(fields: Ipv6Fields): Layer {
  const source = toAddress(fields.source)
  const target = toAddress(fields.target)
  return {
    etherType: EtherType.ipv6,
    pseudoHeader: { source, target },
    build(inner, _outer, next) {
      const header = new Uint8Array(IPV6_HEADER_LENGTH)
      const view = viewOf(header)
      const first = ((fields.version ?? 6) << 28) | ((fields.trafficClass ?? 0) << 20) | (fields.flowLabel ?? 0)
      view.setInt32(0, first)
      view.setUint16(4, fields.payloadLength ?? inner.length)
      view.setUint8(6, fields.nextHeader ?? next?.ipProtocol ?? IpProtocol.noNextHeader)
      view.setUint8(7, fields.hopLimit ?? 64)
      source.writeV6(view, 8)
      target.writeV6(view, 24)
      return join(header, inner)
    },
  }
}

/** The marks of a packet besides the hop limit. */
export interface PacketMarks {
  /** IPv4 type of service or IPv6 traffic class. */
  readonly trafficClass?: number
  /** Of IPv4. */
  readonly doNotFragment?: boolean
}

/** An IPv4 or IPv6 header, by the family of the addresses. */
export function ip(
  source: AddressLike,
  target: AddressLike,
  hopLimit = 64,
  protocol?: number,
  marks: PacketMarks = {},
): Layer {
  const from: Address = toAddress(source)
  const { trafficClass, doNotFragment } = marks
  if (!from.isV4) return ipv6({ source: from, target, hopLimit, nextHeader: protocol, trafficClass })
  return ipv4({ source: from, target, timeToLive: hopLimit, protocol, typeOfService: trafficClass, doNotFragment })
}

/** An IPv6 extension header of the usual form (RFC 8200, section 4): hop-by-hop, routing, destination options. */
export function extensionHeader(
  kind: "hopByHop" | "routing" | "destinationOptions",
  fields: { readonly content?: Uint8Array; readonly nextHeader?: number; readonly length?: number } = {},
): Layer {
  return {
    ipProtocol: IpProtocol[kind],
    build(inner, _outer, next) {
      // Without content: one PadN option over the rest of the eight bytes.
      const content = fields.content ?? Uint8Array.of(1, 4, 0, 0, 0, 0)
      const header = new Uint8Array((2 + content.length + 7) & ~7)
      header[0] = fields.nextHeader ?? next?.ipProtocol ?? IpProtocol.noNextHeader
      header[1] = fields.length ?? header.length / 8 - 1
      header.set(content, 2)
      return join(header, inner)
    },
  }
}

/** An IPv6 fragment header (RFC 8200, section 4.5). */
export function fragmentHeader(fields: {
  /** Bytes, a multiple of eight. */
  readonly offset: number
  readonly moreFragments: boolean
  readonly identification: number
  readonly nextHeader?: number
}): Layer {
  return {
    ipProtocol: IpProtocol.fragment,
    build(inner, _outer, next) {
      const header = new Uint8Array(IPV6_FRAGMENT_HEADER_LENGTH)
      const view = viewOf(header)
      view.setUint8(0, fields.nextHeader ?? next?.ipProtocol ?? IpProtocol.noNextHeader)
      view.setUint16(2, (fields.offset & 0xfff8) | (fields.moreFragments ? 1 : 0))
      view.setUint32(4, fields.identification)
      return join(header, inner)
    },
  }
}
