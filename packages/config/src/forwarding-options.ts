/** Which ports lead from one side to the other. */
import { type OptionRow, set } from "./option-row.ts"
import type { Options, Program } from "./options.ts"
import { type PortSpecification, parsePortSpecification } from "./port-specification.ts"

type PortsField = "tcpPorts" | "udpPorts"

export const forwardingOptions: readonly OptionRow[] = [
  inbound("tcp-ports", "t", "TCP", "tcpPorts"),
  inbound("udp-ports", "u", "UDP", "udpPorts"),
  outbound("tcp-ns", "T", "TCP"),
  outbound("udp-ns", "U", "UDP"),
  {
    long: ["freebind"],
    group: "Port forwarding",
    help: "Let -t and -u listen at addresses that the host doesn't have, or not yet.",
    unimplementedIn: ["pasta"],
    apply: set((options) => {
      options.freebind = true
    }),
  },
]

function inbound(long: string, short: string, protocol: string, field: PortsField): OptionRow {
  return {
    long: [long],
    short,
    argument: "SPEC",
    group: "Port forwarding",
    help: {
      pasta: `${protocol} ports of the host that lead to the namespace. Only none is implemented.`,
      passt: `${protocol} ports of the host that lead to the guest; may be repeated. Default: none.`,
    },
    apply: (options, argument, program) => {
      const specification = parsePortSpecification(argument)
      if (specification.kind === "error") return specification.message
      return refusal(long, specification, program) ?? add(options, field, specification)
    },
  }
}

function outbound(long: string, short: string, protocol: string): OptionRow {
  return {
    long: [long],
    short,
    argument: "SPEC",
    group: "Port forwarding",
    only: "pasta",
    help: `${protocol} ports of the namespace that lead to the host. Only none is implemented.`,
    apply: (_options, argument, program) => {
      const specification = parsePortSpecification(argument)
      return specification.kind === "error" ? specification.message : refusal(long, specification, program)
    },
  }
}

/** What is well formed, but nothing that this program can do. */
function refusal(long: string, specification: PortSpecification, program: Program): string | undefined {
  if (specification.kind === "none") return undefined
  const { text, ranges, all, isAuto } = specification
  if (program === "pasta") return `option '--${long}' is implemented for 'none' only, not for '${text}'`
  if (isAuto) return `Invalid port specifier ${text}: 'auto' port forwarding is only allowed for pasta`
  const loopback = [...ranges, all].find((range) => range?.targetAddress?.isLoopback)
  if (loopback === undefined) return undefined
  return `Invalid port specifier ${text}: ${loopback.targetAddress} can't be reached from outside of the guest`
}

/** Ports add up, but not to `none`. */
function add(options: Options, field: PortsField, specification: PortSpecification): string | undefined {
  const others = options[field]
  if (others.some((other) => other.kind !== specification.kind)) {
    return `Port forwarding mode 'none' conflicts with ports to forward`
  }
  options[field] = [...others, specification]
  return undefined
}
