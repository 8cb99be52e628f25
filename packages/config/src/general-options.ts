/** How the program runs, and what it writes. */
import { type OptionRow, parsePath, set, unimplemented, value } from "./option-row.ts"

export const generalOptions: readonly OptionRow[] = [
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
]
