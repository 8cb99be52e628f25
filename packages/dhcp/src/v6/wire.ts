/**
 * DHCPv6 messages (RFC 8415, section 8): offsets in bytes from the start of the UDP payload. All values are in network
 * byte order.
 */
export const MESSAGE_TYPE = 0
/** Three bytes long. */
export const TRANSACTION_ID = 1
export const OPTIONS = 4

/** Each option: code, length of the value, value (section 21.1). */
export const OPTION_CODE = 0
export const OPTION_LENGTH = 2
export const OPTION_HEADER_LENGTH = 4

/** Section 7.2: the ports at which servers and clients listen, whatever port they send from. */
export const SERVER_PORT = 547
export const CLIENT_PORT = 546

/** Section 7.3. */
export const Dhcpv6MessageType = {
  solicit: 1,
  advertise: 2,
  request: 3,
  confirm: 4,
  renew: 5,
  rebind: 6,
  reply: 7,
  release: 8,
  decline: 9,
  reconfigure: 10,
  informationRequest: 11,
  relayForward: 12,
  relayReply: 13,
} as const

/** Section 21, unless noted. */
export const Dhcpv6Option = {
  clientIdentifier: 1,
  serverIdentifier: 2,
  identityAssociation: 3,
  temporaryAssociation: 4,
  address: 5,
  optionRequest: 6,
  preference: 7,
  elapsedTime: 8,
  statusCode: 13,
  rapidCommit: 14,
  /** RFC 3646 */
  nameServers: 23,
  /** RFC 3646 */
  domainList: 24,
  prefixDelegation: 25,
  /** RFC 4704 */
  clientFqdn: 39,
} as const

/** Section 21.13. */
export const Dhcpv6Status = {
  success: 0,
  unspecifiedFailure: 1,
  noAddressesAvailable: 2,
  noBinding: 3,
  notOnLink: 4,
  useMulticast: 5,
  noPrefixAvailable: 6,
} as const

/** Identity association for non-temporary addresses and for prefixes: IAID, T1, T2, options (sections 21.4, 21.21). */
export const ASSOCIATION_OPTIONS = 12
/** Identity association for temporary addresses: IAID, options (section 21.5). */
export const TEMPORARY_ASSOCIATION_OPTIONS = 4
/** Address option: address, preferred and valid lifetime, options (section 21.6). */
export const ADDRESS_OPTIONS = 24

/** Longest identifier (section 11.1), bytes, including its type. */
export const MAXIMUM_DUID_LENGTH = 130
/** Type of a DUID based on a link-layer address (section 11.4), and the hardware type of Ethernet. */
export const DUID_LINK_LAYER = 3
export const HARDWARE_ETHERNET = 1
