/** IPv4 (RFC 791, section 3.1) and IPv6 (RFC 8200, section 3): offsets in bytes from the start of the header. */
export const IPV4_HEADER_LENGTH = 20
export const IPV4_VERSION_AND_LENGTH = 0
export const IPV4_TYPE_OF_SERVICE = 1
export const IPV4_TOTAL_LENGTH = 2
export const IPV4_IDENTIFICATION = 4
export const IPV4_FLAGS_AND_OFFSET = 6
export const IPV4_TIME_TO_LIVE = 8
export const IPV4_PROTOCOL = 9
export const IPV4_CHECKSUM = 10
export const IPV4_SOURCE = 12
export const IPV4_TARGET = 16
export const IPV4_DONT_FRAGMENT = 0x4000
export const IPV4_MORE_FRAGMENTS = 0x2000
/** In units of eight bytes. */
export const IPV4_FRAGMENT_OFFSET_MASK = 0x1fff

export const IPV6_HEADER_LENGTH = 40
export const IPV6_PAYLOAD_LENGTH = 4
export const IPV6_NEXT_HEADER = 6
export const IPV6_HOP_LIMIT = 7
export const IPV6_SOURCE = 8
export const IPV6_TARGET = 24
export const IPV6_FRAGMENT_HEADER_LENGTH = 8

/** Largest IP packet that every Ethernet card takes in one frame, bytes (RFC 894; RFC 2464, section 2). */
export const ETHERNET_MTU = 1500
/** Largest IP packet that every link with IPv6 takes, bytes (RFC 8200, section 5). */
export const IPV6_MINIMUM_MTU = 1280

/** IP protocol numbers (also IPv6 next header values) that demiflow uses. */
export const IpProtocol = {
  hopByHop: 0,
  icmp: 1,
  tcp: 6,
  udp: 17,
  routing: 43,
  fragment: 44,
  icmpv6: 58,
  noNextHeader: 59,
  destinationOptions: 60,
} as const
