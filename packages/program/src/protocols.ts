import { arp } from "@demiflow/arp"
import { arpOptions, type Configuration, dhcpv4Lease, dhcpv6Lease, icmpOptions, ndpOptions } from "@demiflow/config"
import type { ProtocolPlugin } from "@demiflow/core"
import { dhcpv4, dhcpv6 } from "@demiflow/dhcp"
import { icmp, refusal } from "@demiflow/icmp"
import { ndp } from "@demiflow/ndp"
import { tcpWithLocalPath } from "@demiflow/tcp"
import { udpWithLocalPath } from "@demiflow/udp"

/**
 * The protocols of a configuration. Their order means nothing.
 */
export function protocolPlugins(configuration: Configuration): ProtocolPlugin[] {
  const { program, protocols } = configuration
  // A virtual machine may be older than this process, and has no reason to send anything by itself.
  const asksForGuest = program === "passt"
  const neighbours = <Options>(options: Options | undefined) => options && { ...options, asksForGuest }
  return [
    ...plug(arp, neighbours(arpOptions(configuration))),
    ...plug(ndp, neighbours(ndpOptions(configuration))),
    ...plug(dhcpv4, dhcpv4Lease(configuration)),
    ...plug(dhcpv6, dhcpv6Lease(configuration)),
    ...plug(tcpWithLocalPath, protocols.tcp ? {} : undefined),
    ...plug(udpWithLocalPath, protocols.udp ? {} : undefined),
    ...plug(icmp, icmpOptions(configuration)),
    refusal(),
  ]
}

function plug<Options>(create: (options: Options) => ProtocolPlugin, options: Options | undefined): ProtocolPlugin[] {
  return options === undefined ? [] : [create(options)]
}
