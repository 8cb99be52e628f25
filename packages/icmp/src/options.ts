import type { Address } from "@demiflow/core"

/** Milliseconds without traffic after which an echo flow ends: RFC 5508, section 3.2, requires at least 60 s. */
export const DEFAULT_TIMEOUT = 60_000

/** Options of the ICMP plugin. */
export interface IcmpOptions {
  /** Lifetime of an echo flow without traffic in either direction, milliseconds; 60,000 by default. */
  readonly timeout?: number
  /**
   * Our own addresses on the guest's link. Echo requests to the groups of which they make us a member (224.0.0.1,
   * ff02::1, ff02::2, solicited-node groups) are answered from the first one of the family; without one, they are
   * dropped.
   */
  readonly ourAddresses?: readonly Readonly<Address>[]
}
