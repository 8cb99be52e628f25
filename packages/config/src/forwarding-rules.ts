import type { Address } from "@demiflow/core"
import type { FamilyRules, ForwardingRules } from "@demiflow/flow"
import type { Configuration, Ipv4Configuration, Ipv6Configuration } from "./configuration.ts"

/** The part of a configuration that the forwarding policy uses. */
export function forwardingRules({ splicing, namespace, v4, v6 }: Configuration): ForwardingRules {
  const given = namespace?.network?.addresses.map(({ address }) => address) ?? []
  return {
    ...(splicing && { splicing }),
    ...(v4 && { v4: familyRules(v4, given) }),
    ...(v6 && { v6: familyRules(v6, given) }),
  }
}

function familyRules(family: Ipv4Configuration | Ipv6Configuration, given: readonly Address[]): FamilyRules {
  return {
    hostLoopback: family.mapHostLoopback,
    guestAlias: family.mapGuestAddress,
    guestAddress: family.guestAddress,
    addressesSetUp: given.filter(({ isV4 }) => isV4 === family.guestAddress?.isV4),
    ourAddress: family.gateway,
    dnsForward: family.dnsForward,
    dnsHost: family.dnsHost,
    outboundAddress: family.outboundAddress,
  }
}
