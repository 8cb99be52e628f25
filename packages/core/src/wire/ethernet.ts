/** Ethernet II (IEEE 802.3, clause 3): offsets in bytes from the start of the frame. */
export const ETHERNET_HEADER_LENGTH = 14
export const ETHERNET_TARGET = 0
export const ETHERNET_SOURCE = 6
export const ETHERNET_TYPE = 12

/**
 * The tag behind {@link EtherType.vlan} (IEEE 802.1Q, 9.6): 16 bits of priority and VLAN identifier, then the
 * EtherType.
 */
export const VLAN_TAG_LENGTH = 4
export const VLAN_IDENTIFIER_MASK = 0x0fff

/** EtherTypes, as in the frame's field read in network order. */
export const EtherType = { ipv4: 0x0800, arp: 0x0806, vlan: 0x8100, ipv6: 0x86dd } as const
