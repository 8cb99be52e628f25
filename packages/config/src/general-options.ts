/** How the program runs, and what it writes. */
import { type OptionRow, parsePath, set, unimplemented, value } from "./option-row.ts"
import { parseInterval, parseLogSize } from "./option-values.ts"
import { parseRunAs } from "./run-as.ts"

export const generalOptions: readonly OptionRow[] = [
  {
    long: ["debug"],
    short: "d",
    group: "General",
    help: "Say what happens.",
    apply: set((options) => {
      if (options.verbosity !== "trace") options.verbosity = "debug"
    }),
  },
  {
    long: ["trace"],
    group: "General",
    help: "Say more than with --debug, which this implies: single packets.",
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
  {
    long: ["log-file"],
    short: "l",
    argument: "FILE",
    group: "General",
    help: "Write the log to FILE, and not to the system's log.",
    apply: value("Invalid log file", parsePath, (options, path) => {
      options.logPath = path
    }),
  },
  {
    long: ["log-size"],
    argument: "SIZE",
    group: "General",
    help: "Bytes that the log file may take: what is oldest makes room. Default: 1048576.",
    apply: value("Invalid log size", parseLogSize, (options, size) => {
      options.logSize = size
    }),
  },
  {
    long: ["runas"],
    argument: "USER[:GROUP]",
    group: "General",
    help: "Change to this user and group, given as numbers or names. Default: nobody, if started as root.",
    apply: value("Invalid user to run as", parseRunAs, (options, runAs) => {
      options.runAs = runAs
    }),
  },
  {
    long: ["stats"],
    argument: "DELAY",
    group: "General",
    help: "Show statistics, every DELAY seconds at most.",
    apply: value("Invalid delay between statistics", parseInterval, (options, seconds) => {
      options.statisticsInterval = seconds
    }),
  },
  {
    long: ["print-sandbox"],
    group: "General",
    help: "Say which parts of the sandbox hold on this system, and why not the rest, and end.",
    apply: set((options) => {
      options.printsSandbox = true
    }),
  },
  unimplemented("conf-path", "PATH", "c"),
  {
    long: ["chroot-fallback"],
    group: "General",
    help: "Without effect, accepted for old scripts: where the root can't be emptied, the rest of the sandbox holds.",
    apply: () => undefined,
  },
]
