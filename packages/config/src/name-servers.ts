/**
 * Chooses the guest's name servers, and the addresses by which it reaches those of the host.
 *
 * Name servers that the user gives (`--dns`) go to the guest as they are. Those of the host's `resolv.conf` have to be
 * reachable from the guest: one on the host's loopback, or on the address that the guest gets as its own, is
 * reached by another address that stands for it.
 *
 * The gateway's address stands for the host's loopback by default. Where the gateway is also the resolver, that
 * mapping would shadow it. A resolver on 127.0.0.53 isn't on 127.0.0.1. A link-local address with a zone
 * (`fe80::1%eth0`) means nothing in the guest. In all three cases name service to that address is handled as with
 * `--dns-forward`. If that option was given, the guest gets its address instead.
 *
 * A host without a name server in `resolv.conf` asks the local machine (resolv.conf(5)), and so does the guest.
 */
import { type Address, LOOPBACK_V4, LOOPBACK_V6 } from "@demiflow/core"
import type { NameServer } from "./resolv-conf.ts"

/** The facts about one IP version. */
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
  /** True if the guest may not reach a server (`--no-host`). */
  readonly isClosed: (server: Address) => boolean
}

/** The decisions for one IP version. */
export interface NameServerDecision {
  /** Name servers as the guest has to address them. */
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
    // The local machine was not requested explicitly.
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
  // The resolver is reachable at its own address only if that address stands for nothing else. Name service takes
  // precedence.
  const isMapped = [mapHostLoopback, mapGuestAddress].some((mapped) => mapped?.equals(address))
  if (!isShadowed(server, facts) && (!isMapped || dnsForward?.equals(address))) return address
  if (dnsHost?.address.equals(address) && dnsHost.zone === server.zone) return dnsForward
  // The user's --dns-forward replaces all servers that can't be reached.
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
