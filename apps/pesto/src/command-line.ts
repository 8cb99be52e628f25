/** The command line of pesto: a sequence of commands, in the order in which they were given. */
import {
  type ForwardedPorts,
  type OptionShape,
  parsePortSpecification,
  type ScannedOption,
  scanOptions,
} from "@demiflow/config"
import { Interface, type InterfaceId, IpProtocol } from "@demiflow/core"

/** Which ports an option is about. */
export interface PortsOption {
  /** `-t`, `-u`, `-T` or `-U`. */
  readonly option: string
  readonly interface: InterfaceId
  /** IP protocol number. */
  readonly protocol: number
}

/** A step on the way from the tables as they are to the tables as they are to be. */
export type Command =
  | { readonly kind: "clear"; readonly table: string }
  /** The first one for a table clears it; undefined: no ports. */
  | { readonly kind: "replace"; readonly of: PortsOption; readonly ports: ForwardedPorts | undefined }
  | { readonly kind: "add" | "delete"; readonly of: PortsOption; readonly ports: ForwardedPorts }

/** What a command line asks for. */
export type ParsedCommandLine =
  | { readonly kind: "help" | "version" }
  /** One sentence; `isUsage` if the line lacks a part. */
  | { readonly kind: "error"; readonly message: string }
  | {
      readonly kind: "run"
      readonly path: string
      readonly commands: readonly Command[]
      /** Show the tables before and after. */
      readonly shows: boolean
      readonly isDebug: boolean
    }

interface Row extends OptionShape {
  readonly help: string
  readonly ports?: PortsOption
}

const { tcp, udp } = IpProtocol
const { host, splice } = Interface

/** The options, in the order of the help text. */
export const OPTION_ROWS: readonly Row[] = [
  { long: ["show"], short: "s", help: "Show the forwarded ports before and after the changes." },
  { long: ["add"], short: "A", help: "Add the ports of the options that follow." },
  { long: ["delete"], short: "D", help: "Delete the ports of the options that follow." },
  { long: ["clear"], short: "C", argument: "TABLE", help: "Delete all ports of HOST (-t, -u) or SPLICE (-T, -U)." },
  {
    long: ["tcp-ports"],
    short: "t",
    argument: "SPEC",
    help: "TCP ports of the host that lead to the guest.",
    ports: { option: "-t", interface: host, protocol: tcp },
  },
  {
    long: ["udp-ports"],
    short: "u",
    argument: "SPEC",
    help: "UDP ports of the host that lead to the guest.",
    ports: { option: "-u", interface: host, protocol: udp },
  },
  {
    long: ["tcp-ns"],
    short: "T",
    argument: "SPEC",
    help: "TCP ports of the guest's namespace that lead to the host.",
    ports: { option: "-T", interface: splice, protocol: tcp },
  },
  {
    long: ["udp-ns"],
    short: "U",
    argument: "SPEC",
    help: "UDP ports of the guest's namespace that lead to the host.",
    ports: { option: "-U", interface: splice, protocol: udp },
  },
  { long: ["debug"], short: "d", help: "Report what is exchanged with the running program." },
  { long: ["help"], short: "h", help: "Show this text." },
  { long: ["version"], help: "Show the version." },
]

/** Parses a command line. As with getopt(3), options may also follow the path. */
export function parseCommandLine(argv: readonly string[]): ParsedCommandLine {
  const given: ScannedOption<Row>[] = []
  const paths: string[] = []
  for (let rest = argv; rest.length > 0; ) {
    const scan = scanOptions(rest, OPTION_ROWS)
    given.push(...scan.options)
    if (scan.problem !== undefined) return failure(scan.problem)
    paths.push(...scan.operands.slice(0, 1))
    rest = scan.operands.slice(1)
  }
  return interpret(given, paths)
}

function interpret(given: readonly ScannedOption<Row>[], paths: readonly string[]): ParsedCommandLine {
  const commands: Command[] = []
  let kind: "replace" | "add" | "delete" = "replace"
  for (const { option, argument } of given) {
    const [name] = option.long
    if (name === "help" || name === "version") return { kind: name }
    if (name === "add" || name === "delete") kind = name
    else if (name === "clear") commands.push({ kind: "clear", table: argument })
    else if (option.ports !== undefined) {
      const command = commandOf(kind, option.ports, argument)
      if (typeof command === "string") return failure(command)
      commands.push(command)
    }
  }
  if (paths.length === 0) return failure("the path of a socket is missing: the one that -c of passt or pasta names")
  if (paths.length > 1) return failure(`there is one path, so '${paths[1]}' has no meaning`)
  const has = (name: string) => given.some(({ option }) => option.long[0] === name)
  return { kind: "run", path: paths[0], commands, shows: has("show"), isDebug: has("debug") }
}

function commandOf(kind: "replace" | "add" | "delete", of: PortsOption, text: string): Command | string {
  const ports = parsePortSpecification(text)
  if (ports.kind === "error") return ports.message
  if (ports.kind === "ports") return { kind, of, ports }
  return kind === "replace" ? { kind, of, ports: undefined } : `'none' can't be used with --${kind}`
}

/** Shows arguments as they were given, but on one line. */
function failure(message: string): ParsedCommandLine {
  return { kind: "error", message: message.replace(/\p{Control}/gu, "?") }
}
