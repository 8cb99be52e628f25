import { arp } from "@demiflow/arp"
import { arpOptions, type Configuration, dhcpv4Lease, dhcpv6Lease, ndpOptions } from "@demiflow/config"
import type { ProtocolPlugin } from "@demiflow/core"
import { dhcpv4, dhcpv6 } from "@demiflow/dhcp"
import { icmp } from "@demiflow/icmp"
import { ndp } from "@demiflow/ndp"
import { tcp } from "@demiflow/tcp"
import { udp } from "@demiflow/udp"

/** The protocols that a configuration asks for, in the order in which they are asked: NDP before ICMP, whose claim it shares. */
export function protocolPlugins(configuration: Configuration): ProtocolPlugin[] {
  const { protocols } = configuration
  return [
    ...plug(arp, arpOptions(configuration)),
    ...plug(ndp, ndpOptions(configuration)),
    ...plug(dhcpv4, dhcpv4Lease(configuration)),
    ...plug(dhcpv6, dhcpv6Lease(configuration)),
    ...plug(tcp, protocols.tcp ? {} : undefined),
    ...plug(udp, protocols.udp ? {} : undefined),
    ...plug(icmp, protocols.icmp ? {} : undefined),
  ]
}

function plug<Options>(create: (options: Options) => ProtocolPlugin, options: Options | undefined): ProtocolPlugin[] {
  return options === undefined ? [] : [create(options)]
}
