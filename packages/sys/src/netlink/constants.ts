/**
 * Numbers of rtnetlink(7) and sock_diag(7): <linux/netlink.h>, <linux/rtnetlink.h>, <linux/if_link.h>,
 * <linux/if_addr.h>, <linux/neighbour.h>, <linux/sock_diag.h>.
 */

/** NETLINK_…: the subject of a socket. */
export const NetlinkProtocol = { route: 0, socketDiagnosis: 4 } as const

/** Message types. Each protocol numbers its own from 16 on. */
export const MessageType = {
  noOperation: 1,
  error: 2,
  done: 3,
  newLink: 16,
  getLink: 18,
  newAddress: 20,
  getAddress: 22,
  newRoute: 24,
  getRoute: 26,
  newNeighbour: 28,
  getNeighbour: 30,
  /** SOCK_DIAG_BY_FAMILY */
  socketsByFamily: 20,
} as const

/** NLM_F_…: flags of a message. */
export const NetlinkFlag = {
  request: 0x1,
  acknowledge: 0x4,
  /** In answers: the list changed during the dump. */
  interrupted: 0x10,
  dump: 0x300,
  /** In answers with an error: attributes follow. */
  attributesFollow: 0x200,
  /** In answers with an error: only the header of the request is repeated. */
  capped: 0x100,
  replace: 0x100,
  exclusive: 0x200,
  create: 0x400,
  append: 0x800,
} as const

/** NETLINK_…: level and options of sockets. */
export const NetlinkSocketOption = {
  level: 270,
  addMembership: 1,
  capAcknowledgements: 10,
  extendedAcknowledgements: 11,
  strictChecking: 12,
} as const

/** RTNLGRP_…: groups that a socket may join to receive reports of changes. */
export const NetlinkGroup = { neighbours: 3 } as const

/** NLMSGERR_ATTR_… */
export const ErrorAttribute = { message: 1 } as const

/** IFLA_… */
export const LinkAttribute = { address: 1, name: 3, mtu: 4, extendedMask: 29 } as const
/** RTEXT_FILTER_SKIP_STATS */
export const SKIP_STATISTICS = 8

/** IFF_… */
export const LinkFlag = { up: 0x1, loopback: 0x8, pointToPoint: 0x10 } as const

/** IFA_… */
export const AddressAttribute = {
  address: 1,
  local: 2,
  label: 3,
  broadcast: 4,
  cacheInformation: 6,
  flags: 8,
  routeMetric: 9,
} as const

/** RTA_… */
export const RouteAttribute = {
  destination: 1,
  source: 2,
  outputInterface: 4,
  gateway: 5,
  metric: 6,
  preferredSource: 7,
  multipath: 9,
  cacheInformation: 12,
  table: 15,
  via: 18,
  expires: 23,
  nextHopObject: 30,
} as const

/** NDA_… */
export const NeighbourAttribute = { destination: 1, linkLayerAddress: 2, interfaceIndex: 8 } as const

/** NUD_…: states in which the Ethernet address is known. */
export const NeighbourState = {
  reachable: 0x02,
  stale: 0x04,
  delay: 0x08,
  probe: 0x10,
  noArp: 0x40,
  permanent: 0x80,
} as const

/** RTN_…: what a route does with packets. */
export const RouteType = { local: 2, anycast: 4 } as const
/** RT_TABLE_… */
export const RouteTable = { default: 253, main: 254, local: 255 } as const
/** RTM_F_CLONED: learnt for one destination, such as from a redirect or "packet too big". */
export const ROUTE_CLONED = 0x200

/** Address families, as in the first byte of most messages. */
export const Family = { unspecified: 0, ipv4: 2, ipv6: 10 } as const
