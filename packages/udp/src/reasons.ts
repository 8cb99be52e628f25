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
  /** What the guest has sent to a group, heard at a listening port of its own. */
  readonly ownGroup: DropReason
  /** With a time to live or hop limit of 0, which nobody may send (RFC 1122, section 3.2.1.7). */
  readonly hopLimit: DropReason
  /** An offload has left more datagrams together than any system does. */
  readonly tooMany: DropReason
  /** The flow table has counted the first packet of a sequence itself; the others are counted here. */
  readonly tableFull: DropReason
  /** Might still have been answered: where flows or sockets are scarce, its flow or its port has given way. Counted once. */
  readonly gaveWay: DropReason
  /** The process or the machine has no socket left. */
  readonly noSocket: DropReason
  /** The host has no route, or does not allow this. */
  readonly openFailed: DropReason
  /** The guest knows other correspondents by all ports that were tried under this address. */
  readonly noPort: DropReason
  /** Would begin something at a port of the guest's whose last flow has just given way. */
  readonly closed: DropReason
  /** Answers what the guest has sent to a group, from an address by which the guest may hear of nobody. */
  readonly noSource: DropReason
  /** Arrived at a port of the guest's from an address that the guest has not written to from there. */
  readonly stranger: DropReason
  /** The host's send buffer or device queue is full. */
  readonly sendQueueFull: DropReason
  /** The host's kernel refused the datagram. */
  readonly sendFailed: DropReason
  /** A datagram from the host is larger than one packet to the guest. */
  readonly oversized: DropReason
  /** A datagram for the local path is larger than any that IPv4 has, and its end was cut off. */
  readonly cutOff: DropReason
  /** Something was reported about a datagram on the local path: mostly that nobody listens at its target. */
  readonly notDelivered: DropReason
  /** Something about a flow's packets was reported that has no form as ICMP error. */
  readonly unknownError: DropReason
}

/** Registers them. */
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
