/** Options for the handled traffic, and for addresses that lead to the host. */
import { address, type OptionRow, set } from "./option-row.ts"
import { parseHostAddress } from "./option-values.ts"

export const trafficOptions: readonly OptionRow[] = [
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
    apply: (options, argument, program) => {
      if (argument === "none") {
        options.mapHostLoopback = { v4: undefined, v6: undefined }
        options.noMapGateway = true
        return undefined
      }
      return address("Invalid address to remap to host", parseHostAddress, (chosen) => chosen.mapHostLoopback)(
        options,
        argument,
        program,
      )
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
    long: ["no-host"],
    group: "Access to the host",
    help: {
      pasta:
        "Keep the namespace from addresses of the host, link-local ones except its router's, and groups. Without " +
        "-T and -U, implies none for each. Name service: see --dns-forward.",
      passt:
        "Keep the guest from addresses of the host, link-local ones except its router's, and groups. Name service: " +
        "see --dns-forward.",
    },
    apply: set((options) => {
      options.noHost = true
    }),
  },
  {
    long: ["map-guest-addr"],
    argument: "ADDR",
    group: "Access to the host",
    help: "Address by which the guest reaches the host where both have the same address; none: no address.",
    apply: (options, argument, program) => {
      if (argument === "none") {
        options.mapGuestAddress = { v4: undefined, v6: undefined }
        return undefined
      }
      return address("Invalid address to remap to host", parseHostAddress, (chosen) => chosen.mapGuestAddress)(
        options,
        argument,
        program,
      )
    },
  },
]
