/**
 * DHCPv4 messages (RFC 2131, section 2): offsets in bytes from the start of the UDP payload. All values are in network
 * byte order.
 */
export const OPERATION = 0
export const HARDWARE_TYPE = 1
export const HARDWARE_LENGTH = 2
export const HOPS = 3
export const TRANSACTION_ID = 4
export const SECONDS = 8
export const FLAGS = 10
export const CLIENT_ADDRESS = 12
export const YOUR_ADDRESS = 16
export const NEXT_SERVER = 20
export const RELAY_ADDRESS = 24
export const HARDWARE_ADDRESS = 28
export const HARDWARE_ADDRESS_SIZE = 16
export const SERVER_NAME = 44
export const SERVER_NAME_SIZE = 64
export const BOOT_FILE = 108
export const BOOT_FILE_SIZE = 128
export const MAGIC_COOKIE = 236
export const OPTIONS = 240

/** Value of the magic cookie, which precedes the options. */
export const MAGIC = 0x63825363
/** Shortest message that every client accepts: a BOOTP message (RFC 1542, section 2.1), bytes. */
export const MINIMUM_LENGTH = 300
/**
 * Length of a BOOTP message, bytes, with an options field of 64, cookie included (RFC 951, section 3). Clients need no
 * more.
 */
export const BOOTP_LENGTH = 300
/** The only flag: the client can't receive unicast yet. */
export const BROADCAST_FLAG = 0x8000

/** Headers before each message, bytes. */
export const IP_AND_UDP_HEADERS = 28

export const SERVER_PORT = 67
export const CLIENT_PORT = 68

export const Operation = { request: 1, reply: 2 } as const

/** Options (RFC 2132, unless noted). */
export const Dhcpv4Option = {
  pad: 0,
  subnetMask: 1,
  router: 3,
  nameServers: 6,
  hostName: 12,
  interfaceMtu: 26,
  requestedAddress: 50,
  leaseTime: 51,
  overload: 52,
  messageType: 53,
  serverIdentifier: 54,
  parameterRequestList: 55,
  message: 56,
  maximumMessageSize: 57,
  clientIdentifier: 61,
  /** RFC 4039 */
  rapidCommit: 80,
  /** RFC 4702 */
  clientFqdn: 81,
  /** RFC 3046 */
  relayAgentInformation: 82,
  /** RFC 2563 */
  autoConfigure: 116,
  /** RFC 3397 */
  domainSearch: 119,
  /** RFC 3442 */
  classlessStaticRoutes: 121,
  end: 255,
} as const

/** Values of the message type option (RFC 2132, section 9.6). */
export const Dhcpv4MessageType = {
  discover: 1,
  offer: 2,
  request: 3,
  decline: 4,
  acknowledge: 5,
  refuse: 6,
  release: 7,
  inform: 8,
} as const

/** Bits of the option overload option: which fields hold options as well (RFC 2132, section 9.3). */
export const Overload = { bootFile: 1, serverName: 2 } as const
