/**
 * The options of both programs, one row each: what the grammar needs, what help says, and what an option does to
 * {@link Options}. The order of the rows is that of the help text, and of the possibilities that the message for an
 * ambiguous abbreviation lists.
 */
import type { Address } from "@demiflow/core"
import type { OptionShape } from "./getopt.ts"
import {
  parseAssignedAddress,
  parseDomainList,
  parseDomainName,
  parseHostAddress,
  parseInterfaceName,
  parseMtu,
  parseNetmask,
  parseStationMac,
  parseUnicast,
} from "./option-values.ts"
import type { Options, PerFamily, Program } from "./options.ts"

/** An option, in the sections of the help text. */
export interface OptionRow extends OptionShape {
  readonly group: OptionGroup
  /** What it does, in one or two short sentences. */
  readonly help: string
  /** Absent if both programs have it. */
  readonly only?: Program
  /** What giving it does; answers what is wrong with the argument, or undefined. */
  readonly apply: (options: Options, argument: string) => string | undefined
  /** True for options of the existing programs that are known here, and refused. Help leaves them out. */
  readonly unimplemented?: boolean
}

/** Sections of the help text, in its order. */
export const OPTION_GROUPS = [
  "General",
  "Addresses and routes of the guest",
  "Outbound sockets",
  "Name service",
  "Protocols",
  "Access to the host",
  "Port forwarding",
  "Namespace",
] as const

export type OptionGroup = (typeof OPTION_GROUPS)[number]

/** All options but `--help` and `--version`, which end the parsing. */
export const OPTION_TABLE: readonly OptionRow[] = [
  {
    long: ["debug"],
    short: "d",
    group: "General",
    help: "Say what happens.",
    apply: set((options) => {
      options.verbosity = "debug"
    }),
  },
  {
    long: ["trace"],
    group: "General",
    help: "Say more than --debug: single packets.",
    apply: set((options) => {
      options.verbosity = "trace"
    }),
  },
  {
    long: ["quiet"],
    short: "q",
    group: "General",
    help: "Say only what went wrong.",
    apply: set((options) => {
      options.verbosity = "quiet"
    }),
  },
  {
    long: ["foreground"],
    short: "f",
    group: "General",
    help: "Stay in the foreground.",
    apply: set((options) => {
      options.foreground = true
    }),
  },
  {
    long: ["stderr"],
    short: "e",
    group: "General",
    help: "Without effect, accepted for old scripts.",
    apply: () => undefined,
  },
  {
    long: ["pcap"],
    short: "p",
    argument: "FILE",
    group: "General",
    help: "Write all packets from and to the guest to FILE, in pcap format.",
    apply: value("Invalid capture file", parsePath, (options, path) => {
      options.pcapPath = path
    }),
  },
  {
    long: ["pid"],
    short: "P",
    argument: "FILE",
    group: "General",
    help: "Write the process number to FILE once everything is set up.",
    apply: value("Invalid PID file", parsePath, (options, path) => {
      options.pidPath = path
    }),
  },
  unimplemented("stats", "DELAY"),
  unimplemented("log-file", "FILE", "l"),
  unimplemented("log-size", "SIZE"),
  unimplemented("runas", "UID[:GID]"),
  unimplemented("conf-path", "PATH", "c"),
  unimplemented("chroot-fallback"),

  {
    long: ["ipv4-only"],
    short: "4",
    group: "Addresses and routes of the guest",
    help: "IPv4 only.",
    apply: set((options) => {
      options.ipv4Only = true
    }),
  },
  {
    long: ["ipv6-only"],
    short: "6",
    group: "Addresses and routes of the guest",
    help: "IPv6 only.",
    apply: set((options) => {
      options.ipv6Only = true
    }),
  },
  {
    long: ["mtu"],
    short: "m",
    argument: "MTU",
    group: "Addresses and routes of the guest",
    help: "Assign this MTU, in bytes; 0 assigns none. Default: 65520.",
    apply: value("Invalid MTU", parseMtu, (options, mtu) => {
      options.mtu = mtu
    }),
  },
  {
    long: ["address"],
    short: "a",
    argument: "ADDR[/LEN]",
    group: "Addresses and routes of the guest",
    help: "Assign this IPv4 or IPv6 address. Default: that of the host.",
    apply: value("Invalid address", parseAssignedAddress, (options, assigned) => {
      options.address[assigned.address.isV4 ? "v4" : "v6"] = assigned
    }),
  },
  {
    long: ["netmask"],
    short: "n",
    argument: "MASK",
    group: "Addresses and routes of the guest",
    help: "Assign this IPv4 netmask, in dotted form or as a number of bits.",
    apply: value("Invalid netmask", parseNetmask, (options, prefixLength) => {
      options.netmask = prefixLength
    }),
  },
  {
    long: ["mac-addr"],
    short: "M",
    argument: "ADDR",
    group: "Addresses and routes of the guest",
    help: "Our own MAC address towards the guest. Default: 9a:55:9a:55:9a:55.",
    apply: value("Invalid MAC address", parseStationMac, (options, address) => {
      options.macAddress = address
    }),
  },
  {
    long: ["gateway"],
    short: "g",
    argument: "ADDR",
    group: "Addresses and routes of the guest",
    help: "Assign this IPv4 or IPv6 default gateway. Default: that of the host.",
    apply: address("Invalid gateway address", parseHostAddress, (options) => options.gateway),
  },
  {
    long: ["interface"],
    short: "i",
    argument: "NAME",
    group: "Addresses and routes of the guest",
    help: "Take addresses and routes from this host interface. Default: that of the first default route.",
    apply: value("Invalid interface name", parseInterfaceName, (options, name) => {
      options.interface = name
    }),
  },
  {
    long: ["hostname"],
    short: "H",
    argument: "NAME",
    group: "Addresses and routes of the guest",
    help: "Host name to hand out with DHCP.",
    apply: value("Invalid host name", parseDomainName, (options, name) => {
      options.hostname = name
    }),
  },
  {
    long: ["fqdn"],
    argument: "NAME",
    group: "Addresses and routes of the guest",
    help: "Fully qualified name to hand out with DHCP and DHCPv6.",
    apply: value("Invalid name", parseDomainName, (options, name) => {
      options.fqdn = name
    }),
  },

  {
    long: ["outbound"],
    short: "o",
    argument: "ADDR",
    group: "Outbound sockets",
    help: "Source address of what leaves the host. Default: the host's routing decides.",
    apply: address("Invalid outbound address", parseUnicast, (options) => options.outboundAddress),
  },
  {
    long: ["outbound-if4"],
    argument: "NAME",
    group: "Outbound sockets",
    help: "Bind IPv4 sockets to this host interface.",
    apply: value("Invalid interface name", parseInterfaceName, (options, name) => {
      options.outboundInterface.v4 = name
    }),
  },
  {
    long: ["outbound-if6"],
    argument: "NAME",
    group: "Outbound sockets",
    help: "Bind IPv6 sockets to this host interface.",
    apply: value("Invalid interface name", parseInterfaceName, (options, name) => {
      options.outboundInterface.v6 = name
    }),
  },

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
    help: "Take DNS queries of the guest to this address to the name server of --dns-host.",
    apply: address("Invalid DNS forwarding address", parseHostAddress, (options) => options.dnsForward),
  },
  {
    long: ["dns-host"],
    argument: "ADDR",
    group: "Name service",
    help: "Name server for --dns-forward. Default: the first in /etc/resolv.conf.",
    apply: address("Invalid DNS host address", parseUnicast, (options) => options.dnsHost),
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

  {
    long: ["no-tcp"],
    group: "Protocols",
    help: "No TCP.",
    apply: set((options) => {
      options.noTcp = true
    }),
  },
  {
    long: ["no-udp"],
    group: "Protocols",
    help: "No UDP.",
    apply: set((options) => {
      options.noUdp = true
    }),
  },
  {
    long: ["no-icmp"],
    group: "Protocols",
    help: "No ICMP and ICMPv6; implies --no-ndp.",
    apply: set((options) => {
      options.noIcmp = true
    }),
  },
  {
    long: ["no-dhcp"],
    group: "Protocols",
    help: "No DHCP server.",
    apply: set((options) => {
      options.noDhcp = true
    }),
  },
  {
    long: ["no-dhcpv6"],
    group: "Protocols",
    help: "No DHCPv6 server.",
    apply: set((options) => {
      options.noDhcpv6 = true
    }),
  },
  {
    long: ["no-ndp"],
    group: "Protocols",
    help: "No neighbour discovery.",
    apply: set((options) => {
      options.noNdp = true
    }),
  },
  {
    long: ["no-ra"],
    group: "Protocols",
    help: "No router advertisements.",
    apply: set((options) => {
      options.noRouterAdvertisements = true
    }),
  },

  {
    long: ["map-host-loopback"],
    argument: "ADDR",
    group: "Access to the host",
    help: "Address by which the guest reaches the host's loopback; none: no address. Default: the gateway's.",
    apply: (options, argument) => {
      if (argument === "none") {
        options.mapHostLoopback = { v4: undefined, v6: undefined }
        options.noMapGateway = true
        return undefined
      }
      return address(
        "Invalid address to remap to host",
        parseHostAddress,
        (chosen) => chosen.mapHostLoopback,
      )(options, argument)
    },
  },
  {
    long: ["no-map-gw"],
    group: "Access to the host",
    help: "Leave the gateway's address alone: it doesn't lead to the host's loopback.",
    apply: set((options) => {
      options.noMapGateway = true
    }),
  },
  {
    long: ["map-guest-addr"],
    argument: "ADDR",
    group: "Access to the host",
    help: "Address by which the guest reaches what the host has on the guest's own address; none: no address.",
    apply: (options, argument) => {
      if (argument === "none") {
        options.mapGuestAddress = { v4: undefined, v6: undefined }
        return undefined
      }
      return address(
        "Invalid address to remap to host",
        parseHostAddress,
        (chosen) => chosen.mapGuestAddress,
      )(options, argument)
    },
  },

  portForwarding("tcp-ports", "t", "TCP ports of the host that lead to the guest"),
  portForwarding("udp-ports", "u", "UDP ports of the host that lead to the guest"),
  portForwarding("tcp-ns", "T", "TCP ports of the namespace that lead to the host", "pasta"),
  portForwarding("udp-ns", "U", "UDP ports of the namespace that lead to the host", "pasta"),
  unimplemented("freebind"),

  {
    long: ["config-net"],
    group: "Namespace",
    only: "pasta",
    help: "Set up addresses, routes and the tap interface in the namespace.",
    apply: set((options) => {
      options.configureNamespace = true
    }),
  },
  {
    long: ["ns-ifname"],
    short: "I",
    argument: "NAME",
    group: "Namespace",
    only: "pasta",
    help: "Name of the tap interface. Default: that of the host's interface, else tap0.",
    apply: value("Invalid interface name", parseInterfaceName, (options, name) => {
      options.namespaceInterface = name
    }),
  },
  {
    long: ["ns-mac-addr"],
    argument: "ADDR",
    group: "Namespace",
    only: "pasta",
    help: "MAC address of the tap interface. Default: a random one.",
    apply: value("Invalid MAC address", parseStationMac, (options, macAddress) => {
      options.namespaceMacAddress = macAddress
    }),
  },
  {
    long: ["no-copy-routes"],
    group: "Namespace",
    only: "pasta",
    help: "With --config-net, set up only a default route.",
    apply: set((options) => {
      options.copyRoutes = false
    }),
  },
  {
    long: ["no-copy-addrs"],
    group: "Namespace",
    only: "pasta",
    help: "With --config-net, set up only one address for each version of IP.",
    apply: set((options) => {
      options.copyAddresses = false
    }),
  },
  unimplemented("userns", "PATH", undefined, "pasta"),
  unimplemented("netns", "PATH|NAME", undefined, "pasta"),
  unimplemented("netns-only", undefined, undefined, "pasta"),
  unimplemented("no-netns-quit", undefined, undefined, "pasta"),
  unimplemented("no-pidns", undefined, undefined, "pasta"),
  unimplemented("no-splice", undefined, undefined, "pasta"),
  unimplemented("splice-only", undefined, undefined, "pasta"),
  unimplemented("host-lo-to-ns-lo", undefined, undefined, "pasta"),

  { ...unimplemented("socket", "PATH", "s", "passt"), long: ["socket", "socket-path"] },
  unimplemented("vhost-user", undefined, undefined, "passt"),
  unimplemented("print-capabilities", undefined, undefined, "passt"),
  unimplemented("repair-path", "PATH", undefined, "passt"),
  unimplemented("migrate-exit", undefined, undefined, "passt"),
  unimplemented("migrate-no-linger", undefined, undefined, "passt"),
  unimplemented("fd", "FD", "F", "passt"),
  unimplemented("one-off", undefined, "1", "passt"),
]

type Apply = OptionRow["apply"]

/** An option without argument. */
function set(change: (options: Options) => void): Apply {
  return (options) => {
    change(options)
    return undefined
  }
}

/** An option whose argument is parsed; `problem` begins the message if that fails. */
function value<Value>(
  problem: string,
  parse: (text: string) => Value | undefined,
  change: (options: Options, value: Value) => void,
): Apply {
  return (options, argument) => {
    const parsed = parse(argument)
    if (parsed === undefined) return `${problem}: ${argument}`
    change(options, parsed)
    return undefined
  }
}

/** An option that can be given once for IPv4 and once for IPv6. */
function address(
  problem: string,
  parse: (text: string) => Address | undefined,
  where: (options: Options) => PerFamily<Address>,
): Apply {
  return value(problem, parse, (options, parsed) => {
    where(options)[parsed.isV4 ? "v4" : "v6"] = parsed
  })
}

function parsePath(text: string): string | undefined {
  return text === "" || text.includes("\0") ? undefined : text
}

function parseSearchList(text: string): readonly string[] | undefined {
  return text === "none" ? [] : parseDomainList(text)
}

/** Scripts turn forwarding off with `none`, which is how things are. */
function portForwarding(long: string, short: string, what: string, only?: Program): OptionRow {
  return {
    long: [long],
    short,
    argument: "SPEC",
    group: "Port forwarding",
    help: `${what}. Only none is implemented.`,
    ...(only && { only }),
    apply: (_options, argument) =>
      argument === "none" ? undefined : `option '--${long}' is implemented for 'none' only, not for '${argument}'`,
  }
}

function unimplemented(long: string, argument?: string, short?: string, only?: Program): OptionRow {
  return {
    long: [long],
    ...(argument && { argument }),
    ...(short && { short }),
    ...(only && { only }),
    group: "General",
    help: "",
    unimplemented: true,
    apply: () => `option '--${long}' is not implemented yet`,
  }
}
