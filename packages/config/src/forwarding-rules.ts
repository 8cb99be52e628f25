import type { FamilyRules, ForwardingRules } from "@demiflow/flow"
import type { Configuration, Ipv4Configuration, Ipv6Configuration } from "./configuration.ts"

/** The part of a configuration that the forwarding policy goes by. */
export function forwardingRules({ splicing, v4, v6 }: Configuration): ForwardingRules {
  return { ...(splicing && { splicing }), ...(v4 && { v4: familyRules(v4) }), ...(v6 && { v6: familyRules(v6) }) }
}

function familyRules(family: Ipv4Configuration | Ipv6Configuration): FamilyRules {
  return {
    hostLoopback: family.mapHostLoopback,
    guestAlias: family.mapGuestAddress,
    guestAddress: family.guestAddress,
    dnsForward: family.dnsForward,
    dnsHost: family.dnsHost,
    outboundAddress: family.outboundAddress,
  }
}
