/** Valid frames of every protocol that pasta handles, built independently of the program's own code. */

const GUEST_MAC = "0200005e1001"
const OUR_MAC = "9a559a559a55"

type Bytes = Buffer

const hex = (text: string): Bytes => Buffer.from(text.replaceAll(/[\s:]/g, ""), "hex")
const u16 = (value: number): Bytes => Buffer.from([(value >> 8) & 255, value & 255])
const join = (...parts: readonly Bytes[]): Bytes => Buffer.concat(parts)

/** Internet checksum, RFC 1071. */
export function checksum(bytes: Bytes): number {
  let sum = 0
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i] ?? 0) * 256 + (bytes[i + 1] ?? 0)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}

const ethernet = (type: number, payload: Bytes, to = OUR_MAC): Bytes =>
  join(hex(to), hex(GUEST_MAC), u16(type), payload)

const source4 = hex("c0000202") // 192.0.2.2
const server4 = hex("c6336407") // 198.51.100.7
const source6 = hex("20010db8000100000000000000000002")
const server6 = hex("20010db8000200000000000000000007")
const linkLocal6 = hex("fe8000000000000000005efffe001001")
const allNodes4 = hex("ffffffff")

interface Ipv4Options {
  readonly from?: Bytes
  readonly to?: Bytes
  readonly fragment?: number
  readonly options?: Bytes
}

function ipv4(protocol: number, payload: Bytes, options: Ipv4Options = {}): Bytes {
  const { from = source4, to = server4, fragment = 0, options: extra = Buffer.alloc(0) } = options
  const headerLength = 20 + extra.length
  const start = [
    Buffer.from([0x40 | (headerLength / 4), 0]),
    u16(headerLength + payload.length),
    u16(0x1234),
    u16(fragment),
  ]
  const header = join(...start, Buffer.from([64, protocol]), u16(0), from, to, extra)
  header.writeUInt16BE(checksum(header), 10)
  return ethernet(0x0800, join(header, payload), to === allNodes4 ? "ffffffffffff" : OUR_MAC)
}

function ipv6(next: number, payload: Bytes, from = source6, to = server6, hopLimit = 64): Bytes {
  const header = join(hex("60000000"), u16(payload.length), Buffer.from([next, hopLimit]), from, to)
  return ethernet(0x86dd, join(header, payload))
}

/** A copy of a transport segment with the checksum at `at` filled in, pseudo-header included. */
function summed(protocol: number, from: Bytes, to: Bytes, segment: Bytes, at: number): Bytes {
  const copy = Buffer.from(segment)
  copy.writeUInt16BE(0, at)
  // The sum doesn't depend on the positions of the protocol and the length.
  copy.writeUInt16BE(checksum(join(from, to, u16(protocol), u16(segment.length), copy)), at)
  return copy
}

const tcp = (
  from: Bytes,
  to: Bytes,
  flags: number,
  payload = Buffer.alloc(0),
  options = hex("020405b4 01 03 03 07"),
): Bytes => {
  const offset = (20 + options.length) / 4
  const header = join(
    u16(40_000),
    u16(5000),
    hex("00001000 00000000"),
    Buffer.from([offset << 4, flags]),
    u16(64_000),
    u16(0),
    u16(0),
  )
  return summed(6, from, to, join(header, options, payload), 16)
}

const udp = (from: Bytes, to: Bytes, payload: Bytes, ports: readonly [number, number] = [40_001, 5001]): Bytes =>
  summed(17, from, to, join(u16(ports[0]), u16(ports[1]), u16(8 + payload.length), u16(0), payload), 6)

function icmp4(type: number, rest: Bytes): Bytes {
  const message = join(Buffer.from([type, 0, 0, 0]), rest)
  message.writeUInt16BE(checksum(message), 2)
  return message
}

const icmp6 = (from: Bytes, to: Bytes, type: number, rest: Bytes): Bytes =>
  summed(58, from, to, join(Buffer.from([type, 0, 0, 0]), rest), 2)

const payload = Buffer.from("the payload of a datagram")
const none4 = hex("00000000")
const allRouters6 = hex("ff020000000000000000000000000002")
const dhcpServers6 = hex("ff020000000000000000000000010002")
const solicited6 = hex("ff0200000000000000000001ff000001")

const dhcpDiscover = join(
  hex("01 01 06 00 12345678 0000 8000 00000000 00000000 00000000 00000000"),
  hex(GUEST_MAC),
  Buffer.alloc(10 + 64 + 128),
  hex("63825363 35 01 01 37 05 01 03 06 1a 77 ff"),
)

const dhcpSolicit = hex(
  "01 123456 0001 000a 00030001 02005e100100 0003 000c 00000001 00000000 00000000 0006 0004 0017 0018 0008 0002 0000",
)

/** Extension headers: hop-by-hop, destination options, and a first fragment that is also the last. */
const extended = (next: number, segment: Bytes): Bytes =>
  ipv6(
    0,
    join(hex("3c 00 0104 00000000"), hex("2c 00 0104 00000000"), Buffer.from([next]), hex("00 0000 00001234"), segment),
  )

/** Valid frames by name. The TCP ones do not complete a handshake: they are answered, or reset. */
export const validFrames: Readonly<Record<string, Bytes>> = {
  "ARP request": ethernet(
    0x0806,
    join(hex("0001 0800 06 04 0001"), hex(GUEST_MAC), source4, hex("000000000000 c0000201")),
    "ffffffffffff",
  ),
  "IPv4 TCP SYN": ipv4(6, tcp(source4, server4, 0x02)),
  "IPv4 TCP ACK with data": ipv4(6, tcp(source4, server4, 0x18, payload, Buffer.alloc(0))),
  "IPv4 TCP FIN": ipv4(6, tcp(source4, server4, 0x11)),
  "IPv4 TCP RST": ipv4(6, tcp(source4, server4, 0x04)),
  "IPv4 with options": ipv4(17, udp(source4, server4, payload), { options: hex("94040000 01010101") }),
  "IPv4 UDP": ipv4(17, udp(source4, server4, payload)),
  "IPv4 UDP first fragment": ipv4(17, udp(source4, server4, payload).subarray(0, 24), { fragment: 0x2000 }),
  "IPv4 UDP last fragment": ipv4(17, udp(source4, server4, payload).subarray(24), { fragment: 3 }),
  "IPv4 echo request": ipv4(1, icmp4(8, join(hex("1234 0001"), payload))),
  "IPv4 destination unreachable": ipv4(
    1,
    icmp4(
      3,
      join(hex("00000000"), ipv4(17, udp(server4, source4, payload), { from: server4, to: source4 }).subarray(14)),
    ),
  ),
  "IPv4 DHCP discover": ipv4(17, udp(none4, allNodes4, dhcpDiscover, [68, 67]), { from: none4, to: allNodes4 }),
  "IPv6 TCP SYN": ipv6(6, tcp(source6, server6, 0x02)),
  "IPv6 TCP ACK with data": ipv6(6, tcp(source6, server6, 0x18, payload, Buffer.alloc(0))),
  "IPv6 UDP": ipv6(17, udp(source6, server6, payload)),
  "IPv6 UDP behind extension headers": extended(17, udp(source6, server6, payload)),
  "IPv6 UDP first fragment": ipv6(44, join(hex("11 00 0001 00004321"), udp(source6, server6, payload).subarray(0, 24))),
  "IPv6 UDP last fragment": ipv6(44, join(hex("11 00 0018 00004321"), udp(source6, server6, payload).subarray(24))),
  "IPv6 echo request": ipv6(58, icmp6(source6, server6, 128, join(hex("1234 0001"), payload))),
  "IPv6 packet too big": ipv6(
    58,
    icmp6(
      source6,
      server6,
      2,
      join(hex("00000500"), ipv6(17, udp(server6, source6, payload), server6, source6).subarray(14)),
    ),
  ),
  "IPv6 router solicitation": ipv6(
    58,
    icmp6(linkLocal6, allRouters6, 133, join(hex("00000000 0101"), hex(GUEST_MAC))),
    linkLocal6,
    allRouters6,
    255,
  ),
  "IPv6 neighbour solicitation": ipv6(
    58,
    icmp6(source6, solicited6, 135, join(hex("00000000 20010db8000100000000000000000001 0101"), hex(GUEST_MAC))),
    source6,
    solicited6,
    255,
  ),
  "IPv6 DHCP solicit": ipv6(17, udp(linkLocal6, dhcpServers6, dhcpSolicit, [546, 547]), linkLocal6, dhcpServers6),
}

/**
 * Corrects every checksum, up to the depth at which the frame's lengths make sense, so that mutations reach deeper
 * layers.
 */
export function resum(frame: Bytes): Bytes {
  const copy = Buffer.from(frame)
  const type = copy.length >= 14 ? copy.readUInt16BE(12) : 0
  const packet = copy.subarray(14)
  if (type === 0x0800 && packet.length >= 20) {
    const headerLength = ((packet[0] ?? 0) & 15) * 4
    if (headerLength < 20 || headerLength > packet.length) return copy
    const isFragment = (packet.readUInt16BE(6) & 0x3fff) !== 0
    packet.writeUInt16BE(0, 10)
    packet.writeUInt16BE(checksum(packet.subarray(0, headerLength)), 10)
    const segment = packet.subarray(headerLength, Math.min(packet.length, packet.readUInt16BE(2)))
    if (!isFragment) refill(packet[9] ?? 0, packet.subarray(12, 16), packet.subarray(16, 20), segment)
  } else if (type === 0x86dd && packet.length >= 40) {
    const segment = packet.subarray(40, Math.min(packet.length, 40 + packet.readUInt16BE(4)))
    refill(packet[6] ?? 0, packet.subarray(8, 24), packet.subarray(24, 40), segment)
  }
  return copy
}

function refill(protocol: number, from: Bytes, to: Bytes, segment: Bytes): void {
  const at = { 1: 2, 6: 16, 17: 6, 58: 2 }[protocol]
  if (at === undefined || segment.length < at + 2) return
  if (protocol === 1) {
    segment.writeUInt16BE(0, at)
    segment.writeUInt16BE(checksum(segment), at)
  } else summed(protocol, from, to, segment, at).copy(segment)
}
