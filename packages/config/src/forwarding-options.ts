/** Options for forwarded ports. */
import { type OptionRow, set } from "./option-row.ts"
import type { Options, Program } from "./options.ts"
import { type PortSpecification, parsePortSpecification } from "./port-specification.ts"

type PortsField = "tcpPorts" | "udpPorts" | "tcpNamespacePorts" | "udpNamespacePorts"

export const forwardingOptions: readonly OptionRow[] = [
  {
    ...ports("tcp-ports", "t", "tcpPorts"),
    help: {
      pasta: "TCP ports of the host that lead to the namespace; may be repeated. Default: auto.",
      passt: "TCP ports of the host that lead to the guest; may be repeated. Default: none.",
    },
  },
  {
    ...ports("udp-ports", "u", "udpPorts"),
    help: {
      pasta: "UDP ports of the host that lead to the namespace; may be repeated. Default: auto.",
      passt: "UDP ports of the host that lead to the guest; may be repeated. Default: none.",
    },
  },
  {
    ...ports("tcp-ns", "T", "tcpNamespacePorts"),
    only: "pasta",
    help: "TCP ports of the namespace that lead to the host; may be repeated. Default: auto.",
  },
  {
    ...ports("udp-ns", "U", "udpNamespacePorts"),
    only: "pasta",
    help: "UDP ports of the namespace that lead to the host; may be repeated. Default: auto.",
  },
  {
    long: ["freebind"],
    group: "Port forwarding",
    help: "Let -t and -u listen at addresses that the host doesn't have, or not yet.",
    apply: set((options) => {
      options.freebind = true
    }),
  },
  {
    long: ["host-lo-to-ns-lo"],
    group: "Port forwarding",
    only: "pasta",
    help: "Forward connections to the host's loopback to the namespace's loopback, not to its public address.",
    apply: set((options) => {
      options.keepLoopback = true
    }),
  },
  {
    long: ["no-splice"],
    group: "Port forwarding",
    help: {
      pasta: "Send connections from the host itself through the tap interface, like all others.",
      passt: "No effect: all connections from the host take the same way.",
    },
    apply: set((options) => {
      options.noSplice = true
    }),
  },
  {
    long: ["splice-only"],
    group: "Port forwarding",
    only: "pasta",
    help: "Connect only loopback with loopback, without a tap interface.",
    apply: set((options) => {
      options.spliceOnly = true
    }),
  },
]

function ports(long: string, short: string, field: PortsField): Omit<OptionRow, "help"> {
  return {
    long: [long],
    short,
    argument: "SPEC",
    group: "Port forwarding",
    apply: (options, argument, program) => {
      const specification = parsePortSpecification(argument)
      if (specification.kind === "error") return specification.message
      return refusal(specification, program) ?? add(options, field, specification)
    },
  }
}

/** Refuses specifications that are well formed, but impossible for this program. */
function refusal(specification: PortSpecification, program: Program): string | undefined {
  if (specification.kind === "none" || program === "pasta") return undefined
  const { text, ranges, all, isAuto } = specification
  if (isAuto) return `Invalid port specifier ${text}: 'auto' port forwarding is only allowed for pasta`
  const loopback = [...ranges, all].find((range) => range?.targetAddress?.isLoopback)
  if (loopback === undefined) return undefined
  return `Invalid port specifier ${text}: ${loopback.targetAddress} can't be reached from outside of the guest`
}

/** Ports add up, but `none` may only stand before others, as a default that they override. */
function add(options: Options, field: PortsField, specification: PortSpecification): string | undefined {
  const others = options[field]
  if (specification.kind === "none") {
    if (others.some(({ kind }) => kind !== "none")) return "Port forwarding mode 'none' conflicts with ports to forward"
    options[field] = [specification]
  } else options[field] = [...others.filter(({ kind }) => kind !== "none"), specification]
  return undefined
}
