/** What concerns pasta's namespace. */
import { type OptionRow, set, unimplemented, value } from "./option-row.ts"
import { parseInterfaceName, parseStationMac } from "./option-values.ts"

export const namespaceOptions: readonly OptionRow[] = [
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
]
