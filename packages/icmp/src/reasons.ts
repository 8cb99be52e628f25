import type { DropReason, Drops } from "@demiflow/core"

/** The reasons for which this package drops packets. */
export interface IcmpReasons {
  /** Shorter than an ICMP header. */
  readonly truncated: DropReason
  readonly checksum: DropReason
  /** ICMP over IPv6 or ICMPv6 over IPv4. */
  readonly wrongVersion: DropReason
  /** A time to live or hop limit of 0, which no node may send (RFC 1122, section 3.2.1.7). */
  readonly hopLimit: DropReason
  /** An error from the guest's side that is about none of our flows, or that the flow's protocol doesn't believe. */
  readonly errorFromGuest: DropReason
  /** Any other message that isn't an echo request. */
  readonly unsupported: DropReason
  /** The host forbids ping sockets. */
  readonly forbidden: DropReason
  /** The process or the machine has no socket left. */
  readonly noSocket: DropReason
  /** The host has no route, or doesn't allow sending there. */
  readonly openFailed: DropReason
  /** The host's send buffer or device queue is full. */
  readonly sendQueueFull: DropReason
  /** The host's kernel refused the request. */
  readonly sendFailed: DropReason
  /** A message from the host that isn't a reply, or doesn't fit a packet to the guest. */
  readonly badReply: DropReason
  /** A reply from an address that the guest hasn't asked. */
  readonly stranger: DropReason
  /** A reported error that has no form as ICMP error, or isn't about a request of a flow. */
  readonly unknownError: DropReason
}

/** Registers the drop reasons of this package. */
export function icmpReasons(drops: Drops): IcmpReasons {
  return {
    truncated: drops.reason("icmp: truncated header"),
    checksum: drops.reason("icmp: bad checksum"),
    wrongVersion: drops.reason("icmp: wrong version of IP"),
    hopLimit: drops.reason("icmp: hop limit 0"),
    errorFromGuest: drops.reason("icmp: error from the guest"),
    unsupported: drops.reason("icmp: not an echo request"),
    forbidden: drops.reason("icmp: ping sockets forbidden"),
    noSocket: drops.reason("icmp: no socket left"),
    openFailed: drops.reason("icmp: host has no way there"),
    sendQueueFull: drops.reason("icmp: host's queue full"),
    sendFailed: drops.reason("icmp: refused by the host"),
    badReply: drops.reason("icmp: bad reply"),
    stranger: drops.reason("icmp: reply from an address that the guest has not asked"),
    unknownError: drops.reason("icmp: error without ICMP form"),
  }
}
