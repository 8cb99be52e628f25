import type { Address } from "@demiflow/core"

/** What the forwarding policy knows of one IP version. Addresses "of the guest" are as the guest writes them. */
export interface FamilyRules {
  /** Where the guest finds the host's loopback address (`--map-host-loopback`, by default its gateway). */
  readonly hostLoopback?: Address
  /** Where the guest finds the host's own global address, which its own shadows (`--map-guest-addr`). */
  readonly guestAlias?: Address
  /** The address assigned to the guest: what `guestAlias` stands for on the host. */
  readonly guestAddress?: Address
  /** Addresses that the guest was set up with, copies of the host's among them: no use to it as somebody else's. */
  readonly addressesSetUp?: readonly Readonly<Address>[]
  /** The address as which we speak to the guest ourselves: its gateway's. Without it, IPv6 has our link-local address. */
  readonly ourAddress?: Address
  /** Where the guest finds a resolver (`--dns-forward`), with … */
  readonly dnsForward?: Address
  /** … what it stands for on the host (`--dns-host`). */
  readonly dnsHost?: Address
  /** Source of what leaves on the host (`--outbound`); by default the routing table's choice. */
  readonly outboundAddress?: Address
}

/** What goes from sockets of the host to sockets of the guest's namespace, or back. */
export interface SplicingRules {
  /** False if what begins on the host takes the tap all the same. What begins in the namespace has no other way. */
  readonly isForInbound: boolean
  /** True if connections to the host's loopback go to the namespace's loopback, not to its public address. */
  readonly keepsLoopback: boolean
  /** True if nothing else is forwarded: there is no tap device. */
  readonly isOnly: boolean
}

/** The rules for both IP versions; one that is absent is not forwarded. */
export interface ForwardingRules {
  /** Absent: nothing is spliced. */
  readonly splicing?: SplicingRules
  readonly v4?: FamilyRules
  readonly v6?: FamilyRules
}
