/**
 * Linux constants, by topic. The values are those of x86-64 and of every architecture but alpha, mips, parisc and
 * sparc.
 *
 * Sources: <sys/epoll.h>, <sys/socket.h>, <netinet/in.h>, <netinet/tcp.h>, <linux/udp.h>, <linux/errqueue.h>,
 * <fcntl.h>.
 */

/** epoll_ctl(2) */
export const EpollOperation = { add: 1, remove: 2, modify: 3 } as const

/** epoll(7). The bits of core's `SocketEvent` are the same. */
export const EpollEvent = {
  readable: 0x001,
  urgent: 0x002,
  writable: 0x004,
  error: 0x008,
  hangUp: 0x010,
  readEnd: 0x2000,
  /** Reported once per change, rather than for as long as the state lasts. */
  edgeTriggered: -0x80000000,
} as const

/** socket(2) */
export const AddressFamily = { unix: 1, ipv4: 2, ipv6: 10, netlink: 16, packet: 17 } as const
/** socket(2) */
export const SocketType = { stream: 1, datagram: 2, raw: 3, sequentialPacket: 5 } as const
/**
 * socket(2), added to the type. The addon's `socketInNamespace` adds close-on-exec by itself, all other calls add both.
 */
export const SocketFlag = { nonBlocking: 0o4000, closeOnExec: 0o2000000 } as const
/** IP protocols of sockets. */
export const SocketProtocol = { default: 0, icmp: 1, tcp: 6, udp: 17, icmpv6: 58 } as const

/** Levels of socket options and control messages. */
export const SocketLevel = { socket: 1, ip: 0, tcp: 6, udp: 17, ipv6: 41, icmpv6: 58 } as const

/** socket(7) */
export const SocketOption = {
  reuseAddress: 2,
  type: 3,
  error: 4,
  broadcast: 6,
  sendBuffer: 7,
  receiveBuffer: 8,
  keepAlive: 9,
  urgentInLine: 10,
  linger: 13,
  peerCredentials: 17,
  receiveTimeout: 20,
  bindToDevice: 25,
  protocol: 38,
  domain: 39,
  peekOffset: 42,
  incomingCpu: 49,
} as const

/** tcp(7) */
export const TcpOption = {
  noDelay: 1,
  maximumSegment: 2,
  keepIdle: 4,
  keepInterval: 5,
  keepCount: 6,
  information: 11,
  quickAcknowledge: 12,
  saveSyn: 27,
  savedSyn: 28,
} as const

/** udp(7) */
export const UdpOption = { segment: 103, receiveOffload: 104 } as const

/** ip(7) */
export const IpOption = {
  typeOfService: 1,
  timeToLive: 2,
  packetInformation: 8,
  mtuDiscover: 10,
  receiveErrors: 11,
  receiveTimeToLive: 12,
  receiveTypeOfService: 13,
  freebind: 15,
  bindAddressNoPort: 24,
} as const

/** ipv6(7) */
export const Ipv6Option = {
  unicastHops: 16,
  multicastInterface: 17,
  mtuDiscover: 23,
  receiveErrors: 25,
  only: 26,
  /** IPV6_RECVPKTINFO: asks for {@link Ipv6Option.packetInformation}. */
  receivePacketInformation: 49,
  packetInformation: 50,
  receiveHopLimit: 51,
  hopLimit: 52,
  /** IPV6_RECVTCLASS: asks for {@link Ipv6Option.trafficClass}. */
  receiveTrafficClass: 66,
  trafficClass: 67,
  freebind: 78,
} as const

/** Values of the two `mtuDiscover` options. */
export const MtuDiscovery = { never: 0, want: 1, always: 2, probe: 3, interface: 4, omit: 5 } as const

/** recv(2), send(2) */
export const MessageFlag = {
  outOfBand: 0x1,
  peek: 0x2,
  truncate: 0x20,
  doNotWait: 0x40,
  errorQueue: 0x2000,
  noSignal: 0x4000,
  closeOnExec: 0x40000000,
  more: 0x8000,
  controlTruncated: 0x8,
} as const

/** shutdown(2) */
export const Shutdown = { read: 0, write: 1, both: 2 } as const

/** ioctl(2) requests for sockets: tcp(7), udp(7). */
export const SocketRequest = {
  /** SIOCINQ: bytes received and not read. */
  unread: 0x541b,
  /** SIOCOUTQ: bytes sent and not acknowledged. */
  unacknowledged: 0x5411,
  /** SIOCOUTQNSD: bytes not sent yet. */
  notSent: 0x894b,
} as const

/** open(2) */
export const OpenFlag = {
  readOnly: 0,
  writeOnly: 1,
  readWrite: 2,
  create: 0o100,
  exclusive: 0o200,
  truncate: 0o1000,
  append: 0o2000,
  nonBlocking: 0o4000,
  directory: 0o200000,
  noFollow: 0o400000,
} as const

/** fcntl(2), restricted to what `fileControl` accepts. */
export const FileCommand = {
  getDescriptorFlags: 1,
  setDescriptorFlags: 2,
  getStatusFlags: 3,
  setStatusFlags: 4,
  duplicate: 1030,
  setPipeSize: 1031,
  getPipeSize: 1032,
} as const
