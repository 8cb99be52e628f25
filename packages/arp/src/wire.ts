/**
 * ARP for IPv4 over Ethernet (RFC 826): offsets in bytes from the start of the packet, values in network byte order.
 */
export const HARDWARE_TYPE = 0
export const PROTOCOL_TYPE = 2
export const HARDWARE_LENGTH = 4
export const PROTOCOL_LENGTH = 5
export const OPERATION = 6
export const SENDER_MAC = 8
export const SENDER_ADDRESS = 14
export const TARGET_MAC = 18
export const TARGET_ADDRESS = 24
export const ARP_LENGTH = 28

export const HARDWARE_ETHERNET = 1
/** Length of an Ethernet and of an IPv4 address, bytes. */
export const ETHERNET_ADDRESS_LENGTH = 6
export const IPV4_ADDRESS_LENGTH = 4

export const Operation = { request: 1, reply: 2 } as const
