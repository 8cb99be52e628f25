/** Frames for tests, written and read by code that shares nothing with the code under test. */
import { Address, MacAddress } from "@demiflow/core"

export const GUEST_MAC = "02:00:00:00:00:02"
export const OUR_MAC = "9a:55:9a:55:9a:55"

/** RFC 1071, word by word. */
export function checksumOf(...parts: Uint8Array[]): number {
  const bytes = parts.length === 1 ? parts[0] : join(...parts)
  let sum = 0
  for (let index = 0; index < bytes.length; index += 2) {
    sum += bytes[index] * 256 + (bytes[index + 1] ?? 0)
    if (sum > 0xffff) sum -= 0xffff
  }
  return ~sum & 0xffff
}

export function join(...parts: Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let offset = 0
  for (const part of parts) {
    bytes.set(part, offset)
    offset += part.length
  }
  return bytes
}

export function u16(value: number): number[] {
  return [(value >>> 8) & 255, value & 255]
}

export function u32(value: number): number[] {
  return [...u16(value >>> 16), ...u16(value & 0xffff)]
}

export function pattern(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let index = 0; index < length; index++) bytes[index] = index * 31 + seed * 17 + (index >> 8)
  return bytes
}

export function macBytes(text: string): Uint8Array {
  const view = new DataView(new ArrayBuffer(6))
  MacAddress.parse(text).write(view, 0)
  return new Uint8Array(view.buffer)
}

export function ethernet(
  etherType: number,
  payload: Uint8Array,
  from: string = GUEST_MAC,
  to: string = OUR_MAC,
): Uint8Array {
  return join(macBytes(to), macBytes(from), Uint8Array.from(u16(etherType)), payload)
}

interface IpOptions {
  readonly from: string
  readonly to: string
  readonly hopLimit?: number
  readonly trafficClass?: number
  /** IPv4 options, a multiple of four bytes. */
  readonly options?: number[]
  readonly identification?: number
  readonly flagsAndOffset?: number
  /** Bytes behind the packet. */
  readonly padding?: number
  readonly mac?: string
}

export function ipv4(protocol: number, payload: Uint8Array, ip: IpOptions): Uint8Array {
  const options = ip.options ?? []
  const headerLength = 20 + options.length
  const header = Uint8Array.from([
    0x40 | (headerLength / 4),
    ip.trafficClass ?? 0,
    ...u16(headerLength + payload.length),
    ...u16(ip.identification ?? 0),
    ...u16(ip.flagsAndOffset ?? 0),
    ip.hopLimit ?? 64,
    protocol,
    0,
    0,
    ...Address.parse(ip.from).toBytes(),
    ...Address.parse(ip.to).toBytes(),
    ...options,
  ])
  header.set(u16(checksumOf(header)), 10)
  return ethernet(0x0800, join(header, payload, new Uint8Array(ip.padding ?? 0)), ip.mac)
}

export function ipv6(nextHeader: number, payload: Uint8Array, ip: IpOptions): Uint8Array {
  const header = Uint8Array.from([
    ...u16(0x6000 | ((ip.trafficClass ?? 0) << 4)),
    ...[0, 0],
    ...u16(payload.length),
    nextHeader,
    ip.hopLimit ?? 64,
    ...bytes16(ip.from),
    ...bytes16(ip.to),
  ])
  return ethernet(0x86dd, join(header, payload, new Uint8Array(ip.padding ?? 0)), ip.mac)
}

/** Returns sixteen bytes even for an IPv4-mapped address. */
function bytes16(text: string): Uint8Array {
  const bytes = new Uint8Array(16)
  Address.parse(text).writeV6(new DataView(bytes.buffer), 0)
  return bytes
}

export function pseudoHeader(from: string, to: string, protocol: number, length: number): Uint8Array {
  const addresses = join(Address.parse(from).toBytes(), Address.parse(to).toBytes())
  return join(addresses, Uint8Array.from([...u32(length), 0, 0, 0, protocol]))
}

export function udp(
  ports: [from: number, to: number],
  payload: Uint8Array,
  ip?: { from: string; to: string },
): Uint8Array {
  const length = 8 + payload.length
  const datagram = join(Uint8Array.from([...u16(ports[0]), ...u16(ports[1]), ...u16(length), 0, 0]), payload)
  if (ip !== undefined) datagram.set(u16(checksumOf(pseudoHeader(ip.from, ip.to, 17, length), datagram) || 0xffff), 6)
  return datagram
}

export function tcpHeader(
  ports: [from: number, to: number],
  sequenceNumber: number,
  flags: number,
  options = 0,
): Uint8Array {
  const words = 5 + options
  const rest = [...u32(0), words << 4, flags, ...u16(65535), ...u16(0), ...u16(0)]
  return Uint8Array.from([
    ...u16(ports[0]),
    ...u16(ports[1]),
    ...u32(sequenceNumber),
    ...rest,
    ...new Array<number>(options * 4).fill(1),
  ])
}

/** A packet to the guest, parsed. Parsing throws for what a strict receiver would reject. */
export interface Parsed {
  readonly target: string
  readonly source: string
  readonly etherType: number
  readonly from: string
  readonly to: string
  readonly protocol: number
  readonly hopLimit: number
  readonly trafficClass: number
  readonly identification: number
  readonly dontFragment: boolean
  readonly moreFragments: boolean
  /** Bytes. */
  readonly fragmentOffset: number
  readonly isFragment: boolean
  /** Transport header and payload. */
  readonly transport: Uint8Array
}

export function parse(frame: Uint8Array): Parsed {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength)
  const target = new MacAddress().read(view, 0).toString()
  const source = new MacAddress().read(view, 6).toString()
  const etherType = view.getUint16(12)
  if (etherType === 0x0800) {
    if (frame[14] !== 0x45) throw new Error("version and header length")
    if (view.getUint16(16) !== frame.length - 14) throw new Error("total length")
    if (checksumOf(frame.subarray(14, 34)) !== 0) throw new Error("IPv4 header checksum")
    const flags = view.getUint16(20)
    return {
      target,
      source,
      etherType,
      from: Address.fromBytes(frame.subarray(26, 30)).toString(),
      to: Address.fromBytes(frame.subarray(30, 34)).toString(),
      protocol: frame[23],
      hopLimit: frame[22],
      trafficClass: frame[15],
      identification: view.getUint16(18),
      dontFragment: (flags & 0x4000) !== 0,
      moreFragments: (flags & 0x2000) !== 0,
      fragmentOffset: (flags & 0x1fff) * 8,
      isFragment: (flags & 0x3fff) !== 0,
      transport: frame.slice(34),
    }
  }
  if (etherType !== 0x86dd) throw new Error(`EtherType ${etherType}`)
  if ((view.getUint32(14) & 0xf00fffff) !== 0x60000000) throw new Error("version, flow label")
  if (view.getUint16(18) !== frame.length - 54) throw new Error("payload length")
  const isFragment = frame[20] === 44
  if (isFragment && frame[55] !== 0) throw new Error("reserved")
  const offsetAndMore = isFragment ? view.getUint16(56) : 0
  return {
    target,
    source,
    etherType,
    from: Address.fromBytes(frame.subarray(22, 38)).toString(),
    to: Address.fromBytes(frame.subarray(38, 54)).toString(),
    protocol: isFragment ? frame[54] : frame[20],
    hopLimit: frame[21],
    trafficClass: (view.getUint16(14) >>> 4) & 0xff,
    identification: isFragment ? view.getUint32(58) : 0,
    dontFragment: false,
    moreFragments: (offsetAndMore & 1) !== 0,
    fragmentOffset: offsetAndMore & 0xfff8,
    isFragment,
    transport: frame.slice(isFragment ? 62 : 54),
  }
}

/** True if the checksum over pseudo-header and transport is right, and not the value for "no checksum". */
export function hasRightChecksum(packet: Parsed, transport: Uint8Array = packet.transport): boolean {
  const pseudo = pseudoHeader(packet.from, packet.to, packet.protocol, transport.length)
  return checksumOf(pseudo, transport) === 0
}

/** Joins fragments that arrived in order. */
export function joinFragments(packets: Parsed[]): Uint8Array {
  let reach = 0
  for (const [index, packet] of packets.entries()) {
    if (!packet.isFragment || packet.fragmentOffset !== reach) throw new Error("fragments aren't in order")
    if (packet.moreFragments !== index < packets.length - 1) throw new Error("more fragments")
    if (packet.identification !== packets[0].identification) throw new Error("identification")
    if (packet.moreFragments && packet.transport.length % 8 !== 0) throw new Error("fragment length")
    reach += packet.transport.length
  }
  return join(...packets.map((packet) => packet.transport))
}
