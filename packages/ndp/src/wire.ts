/**
 * Neighbour discovery messages (RFC 4861, section 4): offsets in bytes from the start of the ICMPv6 message, values in
 * network byte order.
 */

/** Router solicitation: type, code, checksum, 4 bytes reserved, options. */
export const SOLICITATION_OPTIONS = 8

/** Router advertisement. */
export const ROUTER_HOP_LIMIT = 4
export const ROUTER_FLAGS = 5
export const ROUTER_LIFETIME = 6
export const ROUTER_OPTIONS = 16
/** The preference bits (RFC 4191, section 2.2) are zero: medium. */
export const RouterFlag = { managed: 0x80, otherConfiguration: 0x40 } as const

/** Neighbour solicitation and advertisement. */
export const NEIGHBOUR_FLAGS = 4
export const NEIGHBOUR_TARGET = 8
export const NEIGHBOUR_OPTIONS = 24
export const NeighbourFlag = { router: 0x80, solicited: 0x40, override: 0x20 } as const

/** Options: type, length in units of eight bytes, value. */
export const OPTION_TYPE = 0
export const OPTION_LENGTH = 1
export const OPTION_HEADER = 2
export const OPTION_UNIT = 8

export const NdpOption = {
  sourceLinkLayer: 1,
  targetLinkLayer: 2,
  prefixInformation: 3,
  mtu: 5,
  /** RFC 8106, section 5.1 */
  recursiveDnsServer: 25,
  /** RFC 8106, section 5.2 */
  dnsSearchList: 31,
} as const

/** Bits of the prefix information option: on-link, and usable for stateless address configuration. */
export const PrefixFlag = { onLink: 0x80, autonomous: 0x40 } as const

/** The hop limit that every message must arrive with: no router has forwarded it. */
export const HOP_LIMIT = 255
