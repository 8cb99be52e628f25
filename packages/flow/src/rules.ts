import type { Address } from "@demiflow/core"

/**
 * What the forwarding policy knows about one IP version. Addresses are as the guest writes them, unless stated
 * otherwise.
 */
export interface FamilyRules {
  /** The guest's alias for the host's loopback address (`--map-host-loopback`, by default its gateway). */
  readonly hostLoopback?: Address
  /** The guest's alias for the host's own global address, which the guest's own shadows (`--map-guest-addr`). */
  readonly guestAlias?: Address
  /** The address assigned to the guest, and the address on the host for which `guestAlias` stands. */
  readonly guestAddress?: Address
  /**
   * Addresses that the guest was set up with, including copies of the host's: it can't reply to them as somebody
   * else's.
   */
  readonly addressesSetUp?: readonly Readonly<Address>[]
  /** Our own address towards the guest: its gateway's. If absent, IPv6 uses our link-local address. */
  readonly ourAddress?: Address
  /** Address at which the guest finds a resolver (`--dns-forward`). */
  readonly dnsForward?: Address
  /** The resolver's address on the host (`--dns-host`), for which `dnsForward` stands. */
  readonly dnsHost?: Address
  /** The resolver's port for questions to port 53; the port that the guest asks if absent. */
  readonly dnsHostPort?: number
  /** Source address of flows that leave the host (`--outbound`); by default the routing table's choice. */
  readonly outboundAddress?: Address
}

/** Which flows go directly between sockets of the host and sockets of the guest's namespace. */
export interface SplicingRules {
  /**
   * False if flows that begin on the host use the tap all the same. Flows that begin in the namespace have no other
   * way.
   */
  readonly takesFromHost: boolean
  /** True if connections to the host's loopback go to the namespace's loopback, instead of its public address. */
  readonly keepsLoopback: boolean
  /** True if nothing else is forwarded: there is no tap device. */
  readonly isOnly: boolean
}

/** The rules for both IP versions. A version without rules is not forwarded. */
export interface ForwardingRules {
  /** Absent: nothing is spliced. */
  readonly splicing?: SplicingRules
  readonly v4?: FamilyRules
  readonly v6?: FamilyRules
}
