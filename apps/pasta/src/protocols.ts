/** Which protocols a configuration asks for, and what each is told. */
import { arp } from "@demiflow/arp"
import type { Configuration, Ipv4Configuration, Ipv6Configuration } from "@demiflow/config"
import type { Address, ProtocolPlugin } from "@demiflow/core"
import { dhcpv4, dhcpv6 } from "@demiflow/dhcp"
import { icmp } from "@demiflow/icmp"
import { ndp } from "@demiflow/ndp"
import { tcp } from "@demiflow/tcp"
import { udp } from "@demiflow/udp"

/** The plugins, in the order in which they are asked: NDP before ICMP, which has the same claim. */
export function protocolPlugins(configuration: Configuration): ProtocolPlugin[] {
  const { v4, v6, protocols } = configuration
  return [
    ...(v4 === undefined ? [] : protocolsOfV4(configuration, v4)),
    ...(v6 === undefined ? [] : protocolsOfV6(configuration, v6)),
    ...(protocols.tcp ? [tcp()] : []),
    ...(protocols.udp ? [udp()] : []),
    ...(protocols.icmp ? [icmp()] : []),
  ]
}

function protocolsOfV4(configuration: Configuration, v4: Ipv4Configuration): ProtocolPlugin[] {
  const { guestAddress, prefixLength, gateway, nameServers } = v4
  const { mtu, protocols, hostname, fqdn } = configuration
  const plugins = [arp({ guestAddress, ourAddresses: present(gateway) })]
  // Without a gateway there is no address to serve from: then the configuration has it off.
  if (protocols.dhcp && gateway !== undefined) {
    const names = advertisedNames(configuration, nameServers)
    const serverAddress = gateway
    plugins.push(dhcpv4({ guestAddress, prefixLength, serverAddress, gateway, mtu, hostname, fqdn, ...names }))
  }
  return plugins
}

function protocolsOfV6(configuration: Configuration, v6: Ipv6Configuration): ProtocolPlugin[] {
  const { guestAddress, gateway, nameServers } = v6
  const { mtu, protocols, fqdn } = configuration
  const names = advertisedNames(configuration, nameServers)
  const plugins: ProtocolPlugin[] = []
  if (protocols.ndp) {
    const hasManagedAddresses = protocols.dhcpv6 && guestAddress !== undefined
    const advertisement = { prefix: guestAddress, mtu, hasManagedAddresses, isDefaultRouter: gateway !== undefined }
    plugins.push(
      ndp({
        guestAddress,
        ourAddresses: present(gateway),
        routerAdvertisement: protocols.routerAdvertisements ? { ...advertisement, ...names } : undefined,
      }),
    )
  }
  if (protocols.dhcpv6) plugins.push(dhcpv6({ guestAddress, fqdn, ...names }))
  return plugins
}

function advertisedNames(
  { advertiseNameServers, advertiseSearchDomains, searchDomains }: Configuration,
  nameServers: readonly Address[],
): { nameServers: readonly Address[]; searchDomains: readonly string[] } {
  return {
    nameServers: advertiseNameServers ? nameServers : [],
    searchDomains: advertiseSearchDomains ? searchDomains : [],
  }
}

function present<Value>(value: Value | undefined): Value[] {
  return value === undefined ? [] : [value]
}
