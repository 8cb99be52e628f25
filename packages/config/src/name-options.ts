/** Options for name service. */
import { address, type OptionRow, parseSearchList, set, value } from "./option-row.ts"
import { parseHostAddress, parseUnicast } from "./option-values.ts"
import { type NameServer, parseNameServer } from "./resolv-conf.ts"

export const nameOptions: readonly OptionRow[] = [
  {
    long: ["dns"],
    short: "D",
    argument: "ADDR",
    group: "Name service",
    help: "Name server for the guest, instead of those in /etc/resolv.conf; may be repeated; none: no name server.",
    apply: (options, argument) => {
      if (argument === "none") {
        options.nameServers = []
        return undefined
      }
      const server = parseUnicast(argument)
      if (server === undefined) return `Invalid DNS address: ${argument}`
      options.nameServers = [...(options.nameServers ?? []), server]
      return undefined
    },
  },
  {
    long: ["dns-forward"],
    argument: "ADDR",
    group: "Name service",
    help: "Forward the guest's DNS queries to this address to the name server of --dns-host.",
    apply: address("Invalid DNS forwarding address", parseHostAddress, (options) => options.dnsForward),
  },
  {
    long: ["dns-host"],
    argument: "ADDR",
    group: "Name service",
    help: "Name server for --dns-forward; a link-local one with %INTERFACE. Default: the first in /etc/resolv.conf.",
    apply: value("Invalid DNS host address", parseDnsHost, (options, server) => {
      options.dnsHost[server.address.isV4 ? "v4" : "v6"] = server
    }),
  },
  {
    long: ["search"],
    short: "S",
    argument: "LIST",
    group: "Name service",
    help: "Search domains for the guest, separated by spaces, instead of those in /etc/resolv.conf; none: no domain.",
    apply: value("Invalid search list", parseSearchList, (options, list) => {
      options.searchDomains = list
    }),
  },
  {
    long: ["dhcp-dns"],
    group: "Name service",
    only: "pasta",
    help: "Hand out name servers with DHCP, DHCPv6 and NDP.",
    apply: set((options) => {
      options.advertiseNameServers = true
    }),
  },
  {
    long: ["no-dhcp-dns"],
    group: "Name service",
    only: "passt",
    help: "Hand out no name servers.",
    apply: set((options) => {
      options.advertiseNameServers = false
    }),
  },
  {
    long: ["dhcp-search"],
    group: "Name service",
    only: "pasta",
    help: "Hand out search domains with DHCP, DHCPv6 and NDP.",
    apply: set((options) => {
      options.advertiseSearchDomains = true
    }),
  },
  {
    long: ["no-dhcp-search"],
    group: "Name service",
    only: "passt",
    help: "Hand out no search domains.",
    apply: set((options) => {
      options.advertiseSearchDomains = false
    }),
  },
]

function parseDnsHost(text: string): NameServer | undefined {
  return parseUnicast(text.replace(/%.*$/, "")) && parseNameServer(text)
}
