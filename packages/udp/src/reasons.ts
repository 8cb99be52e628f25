import type { DropReason, Drops } from "@demiflow/core"

/** The reasons for which this package drops datagrams. */
export interface UdpReasons {
  /** The IP payload is shorter than a UDP header. */
  readonly truncated: DropReason
  /** The length field is below 8 or above what the IP packet holds. */
  readonly length: DropReason
  readonly checksum: DropReason
  /** No checksum over IPv6 (RFC 8200, section 8.1). */
  readonly noChecksum: DropReason
  /** To or from port 0 (reserved: RFC 6335, section 6). */
  readonly portZero: DropReason
  /** A datagram that the guest has sent to a group, received at a listening port of ours. */
  readonly ownGroup: DropReason
  /** A time to live or hop limit of 0, which no node may send (RFC 1122, section 3.2.1.7). */
  readonly hopLimit: DropReason
  /** An offload has coalesced more datagrams than any system does. */
  readonly tooMany: DropReason
  /** No flow table entry. The table itself counts the first packet of a sequence; the others are counted here. */
  readonly tableFull: DropReason
  /** An unanswered flow, or a port with such flows, gave way where flows or sockets are scarce. Counted once. */
  readonly gaveWay: DropReason
  /** The process or the machine has no socket left. */
  readonly noSocket: DropReason
  /** The host has no route, or doesn't allow sending there. */
  readonly openFailed: DropReason
  /** All ports that were tried for the sender under this address are taken at the guest. */
  readonly noPort: DropReason
  /** The last flow of the guest's port gave way for the flow that this datagram would have begun. */
  readonly closed: DropReason
  /** An answer to a datagram to a group, from an address that the policy can't show to the guest. */
  readonly noSource: DropReason
  /** A datagram at a guest's port from an address that the guest has not written to from there. */
  readonly stranger: DropReason
  /** The host's send buffer or device queue is full. */
  readonly sendQueueFull: DropReason
  /** The host's kernel refused the datagram. */
  readonly sendFailed: DropReason
  /** A datagram from the host is larger than one packet to the guest. */
  readonly oversized: DropReason
  /** A datagram for the local path is larger than any that IPv4 has, and its end was cut off. */
  readonly cutOff: DropReason
  /** An error was reported about a datagram on the local path: mostly that nobody listens at its target. */
  readonly notDelivered: DropReason
  /** A reported error about a flow's packets that has no form as ICMP error. */
  readonly unknownError: DropReason
}

/** Registers the drop reasons of this package. */
export function udpReasons(drops: Drops): UdpReasons {
  return {
    truncated: drops.reason("udp: truncated header"),
    length: drops.reason("udp: bad length"),
    checksum: drops.reason("udp: bad checksum"),
    noChecksum: drops.reason("udp: no checksum over IPv6"),
    portZero: drops.reason("udp: port 0"),
    ownGroup: drops.reason("udp: the guest's own, to a group"),
    hopLimit: drops.reason("udp: hop limit 0"),
    tooMany: drops.reason("udp: too many left together"),
    tableFull: drops.reason("flow: table full"),
    gaveWay: drops.reason("udp: gave way unanswered"),
    noSocket: drops.reason("udp: no socket left"),
    openFailed: drops.reason("udp: host has no way there"),
    noPort: drops.reason("udp: no port left to show the guest"),
    closed: drops.reason("udp: port closed"),
    noSource: drops.reason("forward: source address that the guest can't answer"),
    stranger: drops.reason("udp: from an address that the guest has not written to"),
    sendQueueFull: drops.reason("udp: host's queue full"),
    sendFailed: drops.reason("udp: refused by the host"),
    oversized: drops.reason("udp: too large for the guest"),
    cutOff: drops.reason("udp: too large for the local path"),
    notDelivered: drops.reason("udp: not delivered on the local path"),
    unknownError: drops.reason("udp: error without ICMP form"),
  }
}
