/** Options for the guest's addresses, and for the binding of sockets. */
import { address, type OptionRow, set, value } from "./option-row.ts"
import {
  parseAssignedAddress,
  parseDomainName,
  parseHostAddress,
  parseInterfaceName,
  parseMtu,
  parseNetmask,
  parseStationMac,
  parseUnicast,
} from "./option-values.ts"

export const guestOptions: readonly OptionRow[] = [
  {
    long: ["ipv4-only"],
    short: "4",
    group: "Addresses and routes of the guest",
    help: "IPv4 only.",
    apply: set((options) => {
      options.ipv4Only = true
      options.ipv6Only = false
    }),
  },
  {
    long: ["ipv6-only"],
    short: "6",
    group: "Addresses and routes of the guest",
    help: "IPv6 only.",
    apply: set((options) => {
      options.ipv6Only = true
      options.ipv4Only = false
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
]
