/** One-line descriptions of frames, for readers of traces. */
import {
  Address,
  ETHERNET_HEADER_LENGTH,
  ETHERNET_TYPE,
  EtherType,
  formatEndpoint,
  ICMP_CODE,
  ICMP_HEADER_LENGTH,
  ICMP_IDENTIFIER,
  ICMP_SEQUENCE,
  ICMP_TYPE,
  IcmpType,
  Icmpv6Type,
  IPV4_FLAGS_AND_OFFSET,
  IPV4_FRAGMENT_OFFSET_MASK,
  IPV4_HEADER_LENGTH,
  IPV4_MORE_FRAGMENTS,
  IPV4_PROTOCOL,
  IPV4_SOURCE,
  IPV4_TARGET,
  IPV4_TOTAL_LENGTH,
  IPV6_HEADER_LENGTH,
  IPV6_NEXT_HEADER,
  IPV6_PAYLOAD_LENGTH,
  IPV6_SOURCE,
  IPV6_TARGET,
  IpProtocol,
  MacAddress,
  UDP_HEADER_LENGTH,
} from "@demiflow/core"

const TCP_HEADER_LENGTH = 20
const TCP_FLAGS = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"]
const ARP_LENGTH = 28

/** Describes the frame of `length` bytes at `offset`. If it can't parse the contents, it gives type and length. */
export function describeFrame(view: DataView, offset: number, length: number): string {
  if (length < ETHERNET_HEADER_LENGTH) return `frame of ${length} bytes`
  const type = view.getUint16(offset + ETHERNET_TYPE)
  const network = offset + ETHERNET_HEADER_LENGTH
  const end = offset + length
  if (type === EtherType.ipv4 && end - network >= IPV4_HEADER_LENGTH) return describeV4(view, network, end)
  if (type === EtherType.ipv6 && end - network >= IPV6_HEADER_LENGTH) return describeV6(view, network, end)
  if (type === EtherType.arp && end - network >= ARP_LENGTH) return describeArp(view, network)
  return `EtherType 0x${type.toString(16).padStart(4, "0")}, ${length} bytes`
}

function describeArp(view: DataView, offset: number): string {
  const sender = new Address().readV4(view, offset + 14)
  const target = new Address().readV4(view, offset + 24)
  const operation = view.getUint16(offset + 6)
  if (operation === 1) return `arp who has ${target}? tell ${sender}`
  if (operation === 2) return `arp ${sender} is at ${new MacAddress().read(view, offset + 8)}`
  return `arp operation ${operation}`
}

function describeV4(view: DataView, network: number, limit: number): string {
  const source = new Address().readV4(view, network + IPV4_SOURCE)
  const target = new Address().readV4(view, network + IPV4_TARGET)
  const transport = network + ((view.getUint8(network) & 0x0f) << 2)
  const end = Math.min(limit, network + view.getUint16(network + IPV4_TOTAL_LENGTH))
  const flagsAndOffset = view.getUint16(network + IPV4_FLAGS_AND_OFFSET)
  const protocol = view.getUint8(network + IPV4_PROTOCOL)
  if ((flagsAndOffset & (IPV4_MORE_FRAGMENTS | IPV4_FRAGMENT_OFFSET_MASK)) !== 0) {
    const position = (flagsAndOffset & IPV4_FRAGMENT_OFFSET_MASK) * 8
    return `${source} → ${target} fragment at ${position}, ${end - transport} bytes`
  }
  return describeTransport(view, source, target, protocol, transport, end)
}

function describeV6(view: DataView, network: number, limit: number): string {
  const source = new Address().readV6(view, network + IPV6_SOURCE)
  const target = new Address().readV6(view, network + IPV6_TARGET)
  const transport = network + IPV6_HEADER_LENGTH
  const end = Math.min(limit, transport + view.getUint16(network + IPV6_PAYLOAD_LENGTH))
  const next = view.getUint8(network + IPV6_NEXT_HEADER)
  if (next === IpProtocol.fragment && end - transport >= 8) {
    const position = view.getUint16(transport + 2) & 0xfff8
    return `${source} → ${target} fragment at ${position}, ${end - transport - 8} bytes`
  }
  return describeTransport(view, source, target, next, transport, end)
}

function describeTransport(
  view: DataView,
  source: Address,
  target: Address,
  protocol: number,
  offset: number,
  end: number,
): string {
  const length = end - offset
  const ends = () =>
    `${formatEndpoint(source, view.getUint16(offset))} → ${formatEndpoint(target, view.getUint16(offset + 2))}`
  if (protocol === IpProtocol.tcp && length >= TCP_HEADER_LENGTH) {
    return `${ends()} tcp ${describeTcp(view, offset, length)}`
  }
  if (protocol === IpProtocol.udp && length >= UDP_HEADER_LENGTH) {
    return `${ends()} udp, ${length - UDP_HEADER_LENGTH} bytes`
  }
  const isIcmp = protocol === IpProtocol.icmp || protocol === IpProtocol.icmpv6
  if (isIcmp && length >= ICMP_HEADER_LENGTH) return `${source} → ${target} ${describeIcmp(view, offset, length)}`
  return `${source} → ${target} protocol ${protocol}, ${length} bytes`
}

function describeTcp(view: DataView, offset: number, length: number): string {
  const flags = view.getUint8(offset + 13)
  const names = TCP_FLAGS.filter((_, bit) => (flags & (1 << bit)) !== 0)
  const headerLength = (view.getUint8(offset + 12) >>> 4) * 4
  const acknowledgement = (flags & 0x10) !== 0 ? ` ack ${view.getUint32(offset + 8)}` : ""
  const window = view.getUint16(offset + 14)
  const sequenceNumber = view.getUint32(offset + 4)
  return `${names.join(" ") || "no flags"} seq ${sequenceNumber}${acknowledgement} window ${window}, ${length - headerLength} bytes`
}

function describeIcmp(view: DataView, offset: number, length: number): string {
  const type = view.getUint8(offset + ICMP_TYPE)
  const isRequest = type === IcmpType.echoRequest || type === Icmpv6Type.echoRequest
  if (isRequest || type === IcmpType.echoReply || type === Icmpv6Type.echoReply) {
    const identifier = view.getUint16(offset + ICMP_IDENTIFIER)
    const sequence = view.getUint16(offset + ICMP_SEQUENCE)
    const name = isRequest ? "request" : "reply"
    return `icmp echo ${name} id ${identifier} seq ${sequence}, ${length - ICMP_HEADER_LENGTH} bytes`
  }
  return `icmp type ${type} code ${view.getUint8(offset + ICMP_CODE)}, ${length} bytes`
}
