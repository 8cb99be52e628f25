/**
 * Which name servers the guest gets, and which of the host's it reaches by which address.
 *
 * Name servers that the user gives (`--dns`) go to the guest as they are. Those of the host's `resolv.conf` have to be
 * reachable from the guest: one on the host's loopback, or on the very address that the guest gets as its own, is
 * reached by another address that stands for it.
 *
 * The gateway's address stands for the host's loopback by default. Where the gateway is the resolver as well, that
 * mapping would shadow it; a resolver on 127.0.0.53 isn't on 127.0.0.1; and a link-local address with a zone
 * (`fe80::1%eth0`) means nothing in the guest. In all three cases name service to that address is handled as with
 * `--dns-forward`, unless that option was given: then it is that option's address that the guest is given.
 *
 * A host without a name server in `resolv.conf` asks the local machine (resolv.conf(5)), and so does the guest.
 */
import { type Address, LOOPBACK_V4, LOOPBACK_V6 } from "@demiflow/core"
import type { NameServer } from "./resolv-conf.ts"

/** What is known of one IP version. */
export interface NameServerFacts {
  readonly isV4: boolean
  /** `--dns`, those of this version; undefined if the option wasn't given at all. */
  readonly chosen: readonly Address[] | undefined
  /** Those of the host's `resolv.conf`, of both versions. */
  readonly ofHost: readonly NameServer[]
  /** `--dns-forward`. */
  readonly dnsForward: Address | undefined
  /** `--dns-host`. */
  readonly dnsHost: NameServer | undefined
  readonly mapHostLoopback: Address | undefined
  readonly mapGuestAddress: Address | undefined
  readonly guestAddress: Address | undefined
  /** Whether the guest is kept from a server (`--no-host`). */
  readonly isClosed: (server: Address) => boolean
}

/** What follows from it. */
export interface NameServerDecision {
  /** As the guest has to address them. */
  readonly nameServers: readonly Address[]
  /** Defined only with `dnsHost`. */
  readonly dnsForward: Address | undefined
  readonly dnsHost: NameServer | undefined
  /** Name servers of the host that the guest can't reach. */
  readonly unreachable: readonly Address[]
}

/** Decides for one IP version. */
export function decideNameServers(facts: NameServerFacts): NameServerDecision {
  const { isV4, ofHost, chosen } = facts
  const listed = ofHost.filter(({ address }) => address.isV4 === isV4)
  const implied = ofHost.length === 0 ? localMachine(isV4) : undefined
  const dnsHost = facts.dnsHost ?? listed[0] ?? (facts.dnsForward && implied)
  const dnsForward = dnsHost && (facts.dnsForward ?? impliedForward(facts, dnsHost, listed))
  const decision = { dnsForward, dnsHost: dnsForward && dnsHost }
  if (chosen !== undefined) return { ...decision, nameServers: chosen, unreachable: [] }

  const nameServers: Address[] = []
  const unreachable: Address[] = []
  for (const server of implied === undefined ? listed : [implied]) {
    const address = asSeenByGuest(server, facts, decision)
    if (address !== undefined && !nameServers.some((known) => known.equals(address))) nameServers.push(address)
    // Nobody has asked for the local machine.
    if (address === undefined && server !== implied) unreachable.push(server.address)
  }
  return { ...decision, nameServers, unreachable }
}

function localMachine(isV4: boolean): NameServer {
  return { address: (isV4 ? LOOPBACK_V4 : LOOPBACK_V6).clone(), zone: undefined }
}

/** The loopback mapping's address, where it would shadow the resolver or miss it. */
function impliedForward(
  facts: NameServerFacts,
  dnsHost: NameServer,
  listed: readonly NameServer[],
): Address | undefined {
  const { mapHostLoopback } = facts
  if (mapHostLoopback === undefined) return undefined
  const shadows = listed.some(({ address }) => address.equals(mapHostLoopback))
  return shadows || isShadowed(dnsHost, facts) ? mapHostLoopback : undefined
}

function asSeenByGuest(
  server: NameServer,
  facts: NameServerFacts,
  { dnsForward, dnsHost }: Pick<NameServerDecision, "dnsForward" | "dnsHost">,
): Address | undefined {
  const { mapHostLoopback, mapGuestAddress, guestAddress } = facts
  const { address } = server
  // Reaching it by its own address needs that this address stands for nothing else. Name service comes first.
  const isMapped = [mapHostLoopback, mapGuestAddress].some((mapped) => mapped?.equals(address))
  if (!isShadowed(server, facts) && (!isMapped || dnsForward?.equals(address))) return address
  if (dnsHost?.address.equals(address) && dnsHost.zone === server.zone) return dnsForward
  // What the user has set up for name service stands for all that can't be reached.
  const standIn = facts.dnsForward && dnsForward
  if (guestAddress?.equals(address)) return mapGuestAddress ?? standIn
  const mappedAsIs = isMappedLoopback(address) && !dnsForward?.equals(mapHostLoopback ?? address)
  return (mappedAsIs ? mapHostLoopback : undefined) ?? standIn
}

/** True for an address of the host that means something else in the guest, or nothing. */
function isShadowed({ address, zone }: NameServer, { guestAddress, isClosed }: NameServerFacts): boolean {
  return zone !== undefined || address.isLoopback || guestAddress?.equals(address) === true || isClosed(address)
}

/** 127.0.0.1 and ::1, where the loopback mapping leads. */
function isMappedLoopback(server: Address): boolean {
  return server.isLoopback && (server.isV4 ? server.word3 === 0x7f000001 : true)
}
