/** Options for pasta's namespace. */
import { type OptionRow, parsePath, set, value } from "./option-row.ts"
import { parseInterfaceName, parseNamespacePath, parseStationMac } from "./option-values.ts"

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
  {
    long: ["userns"],
    argument: "PATH",
    group: "Namespace",
    only: "pasta",
    help: "User namespace to join. Default: with PID, that of the process; with --netns, none.",
    apply: value("Invalid userns", parsePath, (options, path) => {
      options.userNamespace = path
    }),
  },
  {
    long: ["netns"],
    argument: "PATH|NAME",
    group: "Namespace",
    only: "pasta",
    help: "Network namespace to join. A name is that of a file in /run/netns, as with ip netns.",
    apply: value("Invalid netns", parseNamespacePath, (options, path) => {
      options.networkNamespace = path
    }),
  },
  {
    long: ["netns-only"],
    group: "Namespace",
    only: "pasta",
    help: "Join or create a network namespace only, no user namespace. Implied by --netns without --userns.",
    apply: set((options) => {
      options.networkNamespaceOnly = true
    }),
  },
  {
    long: ["no-netns-quit"],
    group: "Namespace",
    only: "pasta",
    help: "Keep running after the joined namespace has gone from its path.",
    apply: set((options) => {
      options.noNamespaceQuit = true
    }),
  },
  {
    long: ["no-pidns"],
    group: "Namespace",
    only: "pasta",
    help: "Create no PID namespace for COMMAND, and leave /proc alone.",
    apply: set((options) => {
      options.noPidNamespace = true
    }),
  },
]
