/**
 * Parses frames for tests: every field that a check may read, and a list of the frame's problems
 * (lengths that don't fit, checksums that don't match). Accepts any bytes, and never throws.
 */
import {
  Address,
  EtherType,
  Icmpv6Type,
  IPV4_HEADER_LENGTH,
  IPV6_HEADER_LENGTH,
  IpProtocol,
  MacAddress,
} from "@demiflow/core"
import { TCP_FLAG_LETTERS } from "./build-transport.ts"
import { EXTENSION_HEADERS, sumOf, sumOfPseudoHeader, viewOf } from "./layer.ts"
import { decodeTcpOptions, type TcpOptions } from "./tcp-options.ts"

/** An Ethernet header. */
export interface ParsedEthernet {
  readonly source: MacAddress
  readonly target: MacAddress
  readonly etherType: number
}

/** An ARP packet. */
export interface ParsedArp {
  readonly operation: number
  readonly senderMac: MacAddress
  readonly senderAddress: Address
  readonly targetMac: MacAddress
  readonly targetAddress: Address
}

/** An IPv4 or IPv6 header. */
export interface ParsedIp {
  readonly version: 4 | 6
  readonly source: Address
  readonly target: Address
  /** After extension headers. */
  readonly protocol: number
  /** IPv4 time to live, IPv6 hop limit. */
  readonly hopLimit: number
  /** Bytes of the packet, its header included. */
  readonly length: number
  /** IPv4 only. */
  readonly identification: number
  readonly doNotFragment: boolean
  readonly moreFragments: boolean
  /** Bytes. */
  readonly fragmentOffset: number
  /** IPv4 type of service, IPv6 traffic class. */
  readonly trafficClass: number
  /** Skipped IPv6 extension headers. */
  readonly extensions: readonly number[]
}

/** A TCP header. */
export interface ParsedTcp {
  readonly sourcePort: number
  readonly targetPort: number
  /** Modulo 2^32. */
  readonly sequence: number
  readonly acknowledgement: number
  /** Letters, lowest bit first: FIN SYN RST PSH ACK URG ECE CWR. */
  readonly flags: string
  /** As in the field. */
  readonly window: number
  readonly options: TcpOptions
  /** Bytes. */
  readonly headerLength: number
  readonly urgent: number
}

/** A UDP header. */
export interface ParsedUdp {
  readonly sourcePort: number
  readonly targetPort: number
  readonly length: number
}

/** An ICMP or ICMPv6 header. */
export interface ParsedIcmp {
  readonly type: number
  readonly code: number
  /** The four bytes behind the checksum, unsigned. */
  readonly information: number
  /** The two halves of these, for echo. */
  readonly identifier: number
  readonly sequence: number
  /** The quoted part of the packet that an error is about. */
  readonly quote: ParsedPacket | undefined
}

/** A packet from its IP header on. */
export interface ParsedPacket {
  readonly ip?: ParsedIp
  readonly tcp?: ParsedTcp
  readonly udp?: ParsedUdp
  readonly icmp?: ParsedIcmp
  /** The bytes inside the innermost header that was understood. */
  readonly payload: Uint8Array
  /** The packet's problems; empty for a valid packet. */
  readonly problems: readonly string[]
}

/** A whole frame. */
export interface ParsedFrame extends ParsedPacket {
  readonly ethernet?: ParsedEthernet
  readonly arp?: ParsedArp
  /** The whole frame. */
  readonly bytes: Uint8Array
}

/** A link's hint about a frame's transport checksum. */
export interface ChecksumHint {
  /** Bytes from the Ethernet header to the start of the range of an incomplete checksum. */
  readonly start: number
  /** Bytes from there to the field. */
  readonly offset: number
}

type Mutable<Type> = { -readonly [Key in keyof Type]: Type[Key] }
type Draft = Mutable<Omit<ParsedFrame, "problems">> & { problems: string[] }

const NOTHING = new Uint8Array(0)

/** Parses a frame. With a hint, the transport checksum must hold only the pseudo-header's sum. */
export function parseFrame(bytes: Uint8Array, hint?: ChecksumHint): ParsedFrame {
  const frame: Draft = { bytes, payload: NOTHING, problems: [] }
  if (bytes.length < 14) {
    frame.problems.push(`a frame of ${bytes.length} bytes has no Ethernet header`)
    return frame
  }
  const view = viewOf(bytes)
  const etherType = view.getUint16(12)
  frame.ethernet = { target: new MacAddress().read(view, 0), source: new MacAddress().read(view, 6), etherType }
  const inner = bytes.subarray(14)
  frame.payload = inner
  if (etherType === EtherType.arp) parseArp(frame, inner)
  else if (etherType === EtherType.ipv4) parseIpv4(frame, inner, hint && { ...hint, start: hint.start - 14 })
  else if (etherType === EtherType.ipv6) parseIpv6(frame, inner, hint && { ...hint, start: hint.start - 14 })
  return frame
}

/** Parses a packet, from its IP header on. */
export function parsePacket(bytes: Uint8Array): ParsedPacket {
  const packet: Draft = { bytes, payload: NOTHING, problems: [] }
  if (bytes.length > 0 && bytes[0] >> 4 === 6) parseIpv6(packet, bytes, undefined)
  else parseIpv4(packet, bytes, undefined)
  return packet
}

function parseArp(frame: Draft, bytes: Uint8Array): void {
  if (bytes.length < 28) {
    frame.problems.push(`an ARP packet of ${bytes.length} bytes is too short`)
    return
  }
  const view = viewOf(bytes)
  if (view.getUint32(0) !== 0x00010800 || view.getUint16(4) !== 0x0604) {
    frame.problems.push("the ARP packet is not about IPv4 over Ethernet")
  }
  frame.arp = {
    operation: view.getUint16(6),
    senderMac: new MacAddress().read(view, 8),
    senderAddress: new Address().readV4(view, 14),
    targetMac: new MacAddress().read(view, 18),
    targetAddress: new Address().readV4(view, 24),
  }
  frame.payload = bytes.subarray(28)
}

function parseIpv4(frame: Draft, bytes: Uint8Array, hint: ChecksumHint | undefined): void {
  const headerLength = bytes.length > 0 ? (bytes[0] & 15) * 4 : 0
  if (bytes.length < IPV4_HEADER_LENGTH || bytes[0] >> 4 !== 4 || headerLength < 20 || headerLength > bytes.length) {
    frame.problems.push("the IPv4 header is cut off, or not one")
    return
  }
  const view = viewOf(bytes)
  const length = view.getUint16(2)
  if (length < headerLength || length > bytes.length) {
    frame.problems.push(`the IPv4 header says ${length} bytes, there are ${bytes.length}`)
  }
  if (sumOf(bytes.subarray(0, headerLength)) !== 0xffff) frame.problems.push("the IPv4 header checksum is wrong")
  const fragment = view.getUint16(6)
  frame.ip = {
    version: 4,
    source: new Address().readV4(view, 12),
    target: new Address().readV4(view, 16),
    protocol: bytes[9],
    hopLimit: bytes[8],
    length,
    identification: view.getUint16(4),
    doNotFragment: (fragment & 0x4000) !== 0,
    moreFragments: (fragment & 0x2000) !== 0,
    fragmentOffset: (fragment & 0x1fff) * 8,
    trafficClass: bytes[1],
    extensions: [],
  }
  const end = Math.max(headerLength, Math.min(length, bytes.length))
  parseTransport(frame, bytes.subarray(headerLength, end), hint && { ...hint, start: hint.start - headerLength })
}

function parseIpv6(frame: Draft, bytes: Uint8Array, hint: ChecksumHint | undefined): void {
  if (bytes.length < IPV6_HEADER_LENGTH || bytes[0] >> 4 !== 6) {
    frame.problems.push("the IPv6 header is cut off, or not one")
    return
  }
  const view = viewOf(bytes)
  const length = IPV6_HEADER_LENGTH + view.getUint16(4)
  if (length > bytes.length) frame.problems.push(`the IPv6 header says ${length} bytes, there are ${bytes.length}`)
  const end = Math.min(length, bytes.length)
  const extensions: number[] = []
  let protocol = bytes[6]
  let position = IPV6_HEADER_LENGTH
  let fragment = 0
  let identification = 0
  while (position + 8 <= end && (EXTENSION_HEADERS.includes(protocol) || protocol === IpProtocol.fragment)) {
    extensions.push(protocol)
    if (protocol === IpProtocol.fragment) {
      fragment = view.getUint16(position + 2)
      identification = view.getUint32(position + 4)
    }
    const extensionLength = protocol === IpProtocol.fragment ? 8 : (bytes[position + 1] + 1) * 8
    protocol = bytes[position]
    position += extensionLength
  }
  if (position > end) frame.problems.push("an IPv6 extension header is cut off")
  frame.ip = {
    version: 6,
    source: new Address().readV6(view, 8),
    target: new Address().readV6(view, 24),
    protocol,
    hopLimit: bytes[7],
    length,
    identification,
    doNotFragment: true,
    moreFragments: (fragment & 1) !== 0,
    fragmentOffset: fragment & 0xfff8,
    trafficClass: (view.getUint16(0) >> 4) & 0xff,
    extensions,
  }
  parseTransport(frame, bytes.subarray(Math.min(position, end), end), hint && { ...hint, start: hint.start - position })
}

function parseTransport(frame: Draft, bytes: Uint8Array, hint: ChecksumHint | undefined): void {
  const ip = frame.ip
  frame.payload = bytes
  if (ip === undefined || ip.fragmentOffset > 0) return
  const isWhole = !ip.moreFragments
  if (ip.protocol === IpProtocol.tcp) parseTcp(frame, bytes, isWhole, hint)
  else if (ip.protocol === IpProtocol.udp) parseUdp(frame, bytes, isWhole, hint)
  else if (ip.protocol === IpProtocol.icmp && ip.version === 4) parseIcmp(frame, bytes, isWhole, hint)
  else if (ip.protocol === IpProtocol.icmpv6 && ip.version === 6) parseIcmp(frame, bytes, isWhole, hint)
}

function parseTcp(frame: Draft, bytes: Uint8Array, isWhole: boolean, hint: ChecksumHint | undefined): void {
  const headerLength = bytes.length > 12 ? (bytes[12] >> 4) * 4 : 0
  if (headerLength < 20 || headerLength > bytes.length) {
    frame.problems.push("the TCP header is cut off, or says a wrong length")
    return
  }
  const view = viewOf(bytes)
  const { options, problem } = decodeTcpOptions(bytes.subarray(20, headerLength))
  if (problem !== undefined) frame.problems.push(problem)
  frame.tcp = {
    sourcePort: view.getUint16(0),
    targetPort: view.getUint16(2),
    sequence: view.getUint32(4),
    acknowledgement: view.getUint32(8),
    flags: [...TCP_FLAG_LETTERS].filter((_, bit) => (bytes[13] >> bit) & 1).join(""),
    window: view.getUint16(14),
    options,
    headerLength,
    urgent: view.getUint16(18),
  }
  frame.payload = bytes.subarray(headerLength)
  if (isWhole) checkSum(frame, bytes, "TCP", 16, hint)
}

function parseUdp(frame: Draft, bytes: Uint8Array, isWhole: boolean, hint: ChecksumHint | undefined): void {
  if (bytes.length < 8) {
    frame.problems.push("the UDP header is cut off")
    return
  }
  const view = viewOf(bytes)
  const length = view.getUint16(4)
  frame.udp = { sourcePort: view.getUint16(0), targetPort: view.getUint16(2), length }
  frame.payload = bytes.subarray(8)
  if (!isWhole) return
  // Joined datagrams have their total length.
  if (length !== bytes.length) frame.problems.push(`the UDP header says ${length} bytes, there are ${bytes.length}`)
  if (view.getUint16(6) !== 0) checkSum(frame, bytes, "UDP", 6, hint)
  else if (frame.ip?.version === 6) frame.problems.push("the UDP checksum is 0, which IPv6 forbids (RFC 8200, 8.1)")
}

function parseIcmp(frame: Draft, bytes: Uint8Array, isWhole: boolean, hint: ChecksumHint | undefined): void {
  if (bytes.length < 8) {
    frame.problems.push("the ICMP header is cut off")
    return
  }
  const view = viewOf(bytes)
  const type = bytes[0]
  // RFC 792: types 3, 4, 5, 11 and 12 quote a packet; RFC 4443, section 2.1: types below 128 do.
  const isError = frame.ip?.version === 4 ? [3, 4, 5, 11, 12].includes(type) : type < Icmpv6Type.echoRequest
  frame.icmp = {
    type,
    code: bytes[1],
    information: view.getUint32(4),
    identifier: view.getUint16(4),
    sequence: view.getUint16(6),
    quote: isError ? parsePacket(bytes.subarray(8)) : undefined,
  }
  frame.payload = bytes.subarray(8)
  if (isWhole) checkSum(frame, bytes, "ICMP", 2, hint)
}

function checkSum(frame: Draft, bytes: Uint8Array, name: string, field: number, hint: ChecksumHint | undefined): void {
  const ip = frame.ip
  if (ip === undefined) return
  const hasPseudoHeader = ip.protocol !== IpProtocol.icmp
  const pseudo = hasPseudoHeader ? sumOfPseudoHeader(ip.source, ip.target, ip.protocol, bytes.length) : 0
  if (hint === undefined) {
    // 0 and 0xffff are one number in ones' complement.
    if (sumOf(bytes, pseudo) % 0xffff !== 0) frame.problems.push(`the ${name} checksum is wrong`)
    return
  }
  if (hint.start !== 0 || hint.offset !== field) {
    frame.problems.push(
      `the link is asked to put the ${name} checksum at ${hint.start} + ${hint.offset}, not at ${field}`,
    )
  } else if (viewOf(bytes).getUint16(field) % 0xffff !== pseudo % 0xffff) {
    frame.problems.push(`the ${name} checksum field does not hold the sum of the pseudo-header`)
  }
}
