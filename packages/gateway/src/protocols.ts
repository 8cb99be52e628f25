/** The protocols that a guest of a gateway is served with, and the policy for its flows. */
import { arp } from "@demiflow/arp"
import type { Address, Drops, OwnAddresses, ProtocolPlugin } from "@demiflow/core"
import { dhcpv4, dhcpv6 } from "@demiflow/dhcp"
import { type FamilyRules, ForwardingPolicy } from "@demiflow/flow"
import { icmp, refusal } from "@demiflow/icmp"
import { ndp } from "@demiflow/ndp"
import { tcp } from "@demiflow/tcp"
import { udp } from "@demiflow/udp"
import type { Resolver } from "./name-servers.ts"
import type { Network } from "./networks.ts"
import type { Settings } from "./settings.ts"

/** The protocols. Their order means nothing. */
export function gatewayPlugins(settings: Settings): ProtocolPlugin[] {
  const { v4, v6, holdBytes } = settings
  return [
    ...(v4 === undefined ? [] : ipv4(v4, settings)),
    ...(v6 === undefined ? [] : ipv6(v6, settings)),
    icmp({ ourAddresses: [...ours(v4), ...ours(v6)] }),
    tcp({ holdPoolSize: holdBytes }),
    udp(),
    refusal(),
  ]
}

/**
 * The policy: the gateway's address leads to the host's loopback unless that is closed, name service to the resolver.
 */
export function gatewayPolicy(
  { v4, v6, nameService }: Settings,
  drops: Drops,
  closedHost: OwnAddresses | undefined,
): ForwardingPolicy {
  const rules = {
    ...(v4 && { v4: familyRules(v4, nameService.v4) }),
    ...(v6 && { v6: familyRules(v6, nameService.v6) }),
  }
  if (closedHost === undefined) return new ForwardingPolicy(rules, drops)
  // Our addresses are nobody's on the host's network, or somebody's by accident.
  const own = [...ours(v4), ...ours(v6)]
  const isOwn = (address: Readonly<Address>) =>
    own.some((each) => each.equals(address as Address)) || closedHost.isOwn(address)
  return new ForwardingPolicy(rules, drops, { isOwn })
}

function familyRules({ guest, gateway, dns }: Network, resolver: Resolver | undefined): FamilyRules {
  return {
    hostLoopback: gateway,
    guestAddress: guest,
    ourAddress: gateway,
    ...(resolver && { dnsForward: dns, dnsHost: resolver.address }),
    ...(resolver?.port !== undefined && { dnsHostPort: resolver.port }),
  }
}

function ipv4(network: Network, { mtu, nameService }: Settings): ProtocolPlugin[] {
  const { guest, gateway, dns, prefixLength } = network
  const { searchDomains } = nameService
  const nameServers = nameService.v4 === undefined ? [] : [dns]
  const lease = { guestAddress: guest, prefixLength, serverAddress: gateway, gateway, mtu, nameServers, searchDomains }
  return [arp({ guestAddress: guest, ourAddresses: ours(network) }), dhcpv4(lease)]
}

function ipv6(network: Network, { mtu, nameService }: Settings): ProtocolPlugin[] {
  const { guest, dns } = network
  const { searchDomains } = nameService
  const nameServers = nameService.v6 === undefined ? [] : [dns]
  const names = { nameServers, searchDomains }
  const routerAdvertisement = {
    ...names,
    prefix: guest,
    mtu,
    hasManagedAddresses: true,
    hasOtherConfiguration: true,
  }
  return [
    ndp({ guestAddress: guest, ourAddresses: ours(network), routerAdvertisement }),
    dhcpv6({ ...names, guestAddress: guest }),
  ]
}

function ours(network: Network | undefined): Address[] {
  if (network === undefined) return []
  const { gateway, dns } = network
  return gateway.equals(dns) ? [gateway] : [gateway, dns]
}
