/**
 * Which name servers the guest is told, and which of the host's it reaches by which address.
 *
 * Name servers that the user gives (`--dns`) go to the guest as they are. Those of the host's `resolv.conf` have to be
 * reachable from the guest: one on the host's loopback, or on the very address that the guest gets as its own, is
 * reached by another address that stands for it.
 *
 * The gateway's address stands for the host's loopback by default. Where the gateway is the resolver as well, that
 * mapping would shadow it; and a resolver on 127.0.0.53 isn't on 127.0.0.1. In both cases name service to that address
 * is handled as with `--dns-forward`, unless that option was given.
 */
import type { Address } from "@demiflow/core"

/** What is known of one IP version. */
export interface NameServerFacts {
  /** `--dns`, those of this version; undefined if the option wasn't given at all. */
  readonly chosen: readonly Address[] | undefined
  /** Those of the host's `resolv.conf`, of this version. */
  readonly ofHost: readonly Address[]
  /** `--dns-forward`. */
  readonly dnsForward: Address | undefined
  /** `--dns-host`. */
  readonly dnsHost: Address | undefined
  readonly mapHostLoopback: Address | undefined
  readonly mapGuestAddress: Address | undefined
  readonly guestAddress: Address | undefined
}

/** What follows from it. */
export interface NameServerDecision {
  /** As the guest has to address them. */
  readonly nameServers: readonly Address[]
  /** Defined only with `dnsHost`. */
  readonly dnsForward: Address | undefined
  readonly dnsHost: Address | undefined
  /** Name servers of the host that the guest can't reach. */
  readonly unreachable: readonly Address[]
}

/** Decides for one IP version. */
export function decideNameServers(facts: NameServerFacts): NameServerDecision {
  const dnsHost = facts.dnsHost ?? facts.ofHost[0]
  const dnsForward = dnsHost && (facts.dnsForward ?? impliedForward(facts, dnsHost))
  const decision = { dnsForward, dnsHost: dnsForward && dnsHost }
  if (facts.chosen !== undefined) return { ...decision, nameServers: facts.chosen, unreachable: [] }

  const nameServers: Address[] = []
  const unreachable: Address[] = []
  for (const server of facts.ofHost) {
    const address = asSeenByGuest(server, facts, decision)
    if (address === undefined) unreachable.push(server)
    else if (!nameServers.some((known) => known.equals(address))) nameServers.push(address)
  }
  return { ...decision, nameServers, unreachable }
}

/** The loopback mapping's address, where it would shadow the resolver or miss it. */
function impliedForward(facts: NameServerFacts, dnsHost: Address): Address | undefined {
  const { mapHostLoopback, ofHost } = facts
  if (mapHostLoopback === undefined) return undefined
  const shadows = ofHost.some((server) => server.equals(mapHostLoopback))
  return shadows || isShadowed(dnsHost, facts) ? mapHostLoopback : undefined
}

function asSeenByGuest(
  server: Address,
  facts: NameServerFacts,
  { dnsForward, dnsHost }: Pick<NameServerDecision, "dnsForward" | "dnsHost">,
): Address | undefined {
  const { mapHostLoopback, mapGuestAddress, guestAddress } = facts
  if (!isShadowed(server, facts)) {
    // Reaching it by its own address needs that this address stands for nothing else.
    if (mapGuestAddress?.equals(server)) return undefined
    return mapHostLoopback?.equals(server) && !dnsForward?.equals(server) ? undefined : server
  }
  if (dnsHost?.equals(server)) return dnsForward
  if (guestAddress?.equals(server)) return mapGuestAddress
  const mappedAsIs = isMappedLoopback(server) && !dnsForward?.equals(mapHostLoopback ?? server)
  return mappedAsIs ? mapHostLoopback : undefined
}

/** True for an address of the host that means something else in the guest. */
function isShadowed(server: Address, { guestAddress }: NameServerFacts): boolean {
  return server.isLoopback || guestAddress?.equals(server) === true
}

/** 127.0.0.1 and ::1, where the loopback mapping leads. */
function isMappedLoopback(server: Address): boolean {
  return server.isLoopback && (server.isV4 ? server.word3 === 0x7f000001 : true)
}
