/** Options for passt's hypervisor. */
import { type OptionRow, set, unimplemented, value } from "./option-row.ts"
import { parseDescriptor, parseSocketPath } from "./option-values.ts"

export const hypervisorOptions: readonly OptionRow[] = [
  {
    long: ["socket", "socket-path"],
    short: "s",
    argument: "PATH",
    group: "Hypervisor",
    only: "passt",
    help: "UNIX domain socket to listen at. Default: the first free one from /tmp/passt_1.socket to /tmp/passt_64.socket.",
    apply: value("Invalid socket path", parseSocketPath, (options, path) => {
      options.socketPath = path
    }),
  },
  {
    long: ["fd"],
    short: "F",
    argument: "FD",
    group: "Hypervisor",
    only: "passt",
    help: "Descriptor of a socket that is connected to the hypervisor already; implies --one-off.",
    apply: value("Invalid --fd", parseDescriptor, (options, descriptor) => {
      options.descriptor = descriptor
      options.oneOff = true
    }),
  },
  {
    long: ["vhost-user"],
    group: "Hypervisor",
    only: "passt",
    help: "The socket is for vhost-user: the hypervisor shares the guest's memory, and its offloads are used.",
    apply: set((options) => {
      options.vhostUser = true
    }),
  },
  {
    long: ["print-capabilities"],
    group: "Hypervisor",
    only: "passt",
    help: "Print the back end's capabilities for vhost-user as JSON, then exit.",
    apply: set((options) => {
      options.printsCapabilities = true
    }),
  },
  {
    long: ["one-off"],
    short: "1",
    group: "Hypervisor",
    only: "passt",
    help: "End once the hypervisor closes the connection.",
    apply: set((options) => {
      options.oneOff = true
    }),
  },
  {
    long: ["repair-path"],
    argument: "PATH",
    group: "Hypervisor",
    only: "passt",
    help: "Helper's socket for migration. Only none is implemented.",
    apply: (_options, argument) =>
      argument === "none"
        ? undefined
        : `option '--repair-path' is implemented for 'none' only, not for '${argument}': there is no migration yet`,
  },
  unimplemented("migrate-exit", "passt"),
  unimplemented("migrate-no-linger", "passt"),
]
