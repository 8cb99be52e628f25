/** Options for the program's execution and output. */
import { type OptionRow, parsePath, set, value } from "./option-row.ts"
import { parseInterval, parseLogSize } from "./option-values.ts"
import { parseRunAs } from "./run-as.ts"

export const generalOptions: readonly OptionRow[] = [
  {
    long: ["debug"],
    short: "d",
    group: "General",
    help: "Log debug messages.",
    apply: set((options) => {
      if (options.verbosity !== "trace") options.verbosity = "debug"
    }),
  },
  {
    long: ["trace"],
    group: "General",
    help: "Log single packets as well; implies --debug.",
    apply: set((options) => {
      options.verbosity = "trace"
    }),
  },
  {
    long: ["quiet"],
    short: "q",
    group: "General",
    help: "Log no informational messages.",
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
    help: "Largest size of the log file, in bytes: the oldest lines make room. Default: 1048576.",
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
    help: "Print which parts of the sandbox hold on this system, and why the others don't, then exit.",
    apply: set((options) => {
      options.printsSandbox = true
    }),
  },
  {
    long: ["conf-path"],
    short: "c",
    argument: "PATH",
    group: "General",
    help: "Create a UNIX socket at PATH, at which pesto changes the forwarded ports.",
    apply: value("Invalid path of a socket for pesto", parsePath, (options, path) => {
      options.confPath = path
    }),
  },
  {
    long: ["chroot-fallback"],
    group: "General",
    help: "Accepted, and not needed: the root is emptied on an initramfs as well, and elsewhere the rest of the sandbox holds.",
    apply: () => undefined,
  },
]
