/** Numbers of rtnetlink(7) that determine the copied addresses and routes. */

/** RT_TABLE_MAIN */
export const TABLE_MAIN = 254
/** RTN_UNICAST */
export const ROUTE_UNICAST = 1
/** RT_SCOPE_… */
export const Scope = { global: 0, link: 253 } as const
/** RTPROT_… */
export const RouteProtocol = {
  /** The kernel, when it adds an address. */
  kernel: 2,
  /** A program such as ip(8). */
  boot: 3,
} as const
/** RTNH_F_ONLINK: the gateway is on the link, regardless of other routes. */
export const HOP_ON_LINK = 4
/** The metric of an IPv6 route that the kernel adds with an address. */
export const V6_CONNECTED_METRIC = 256

/** IFA_F_… */
export const AddressFlag = {
  /** IFA_F_TEMPORARY for IPv6, IFA_F_SECONDARY for IPv4. */
  secondaryOrTemporary: 0x01,
  /** No duplicate address detection. */
  noDuplicateDetection: 0x02,
  duplicateDetectionFailed: 0x08,
  /** Still there, but no longer chosen as a source. */
  deprecated: 0x20,
  tentative: 0x40,
  /** Without a lifetime. */
  permanent: 0x80,
  /** The kernel adds no route for the prefix. */
  noPrefixRoute: 0x200,
} as const
