/** ICMP (RFC 792) and ICMPv6 (RFC 4443): offsets in bytes from the start of the message, types and codes. */
export const ICMP_HEADER_LENGTH = 8
export const ICMP_TYPE = 0
export const ICMP_CODE = 1
export const ICMP_CHECKSUM = 2
/** Echo: identifier and sequence number. */
export const ICMP_IDENTIFIER = 4
export const ICMP_SEQUENCE = 6
/** Errors: position of the next hop's MTU (RFC 1191, section 4: the last two bytes; RFC 4443, 3.2: all four). */
export const ICMP_MTU = 4

/** Errors: position of the quoted packet. */
export const ICMP_QUOTE = 8

export const IcmpType = {
  echoReply: 0,
  destinationUnreachable: 3,
  echoRequest: 8,
  timeExceeded: 11,
  parameterProblem: 12,
} as const
export const IcmpUnreachable = {
  net: 0,
  host: 1,
  protocol: 2,
  port: 3,
  fragmentationNeeded: 4,
  netProhibited: 9,
  hostProhibited: 10,
  administrativelyProhibited: 13,
} as const

export const Icmpv6Type = {
  destinationUnreachable: 1,
  packetTooBig: 2,
  timeExceeded: 3,
  parameterProblem: 4,
  echoRequest: 128,
  echoReply: 129,
  routerSolicitation: 133,
  routerAdvertisement: 134,
  neighbourSolicitation: 135,
  neighbourAdvertisement: 136,
  redirect: 137,
} as const
/** Codes of ICMPv6 parameter problems (RFC 4443, section 3.4; RFC 8883, section 2). */
export const Icmpv6ParameterProblem = { headerField: 0, nextHeader: 1, option: 2, tooManyHeaders: 8 } as const
export const Icmpv6Unreachable = { noRoute: 0, prohibited: 1, address: 3, port: 4 } as const
