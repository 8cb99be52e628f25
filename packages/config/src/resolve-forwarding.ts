/**
 * Resolves the options about ports to rules.
 *
 * pasta forwards bound ports (`auto`) by default. UDP follows TCP only there: an `auto` rule for UDP
 * opens a port also while TCP is bound to its number at the other end and forwarded there. `PortForwarding.follow` in
 * `@demiflow/flow` does this without a further rule. Ports given by number are only forwarded for their own protocol.
 */
import { Interface, type InterfaceId, IpProtocol } from "@demiflow/core"
import { type ForwardingPlan, type ForwardingRequest, planForwarding } from "./forwarding-plan.ts"
import type { Options, Program } from "./options.ts"
import type { ForwardedPorts, PortRange, PortSpecification } from "./port-specification.ts"

/** The default of Linux. */
const DEFAULT_EPHEMERAL_PORTS: PortRange = { first: 32_768, last: 60_999 }
/** `auto`, the default of pasta. */
const AUTO: ForwardedPorts = {
  kind: "ports",
  text: "auto",
  address: undefined,
  interfaceName: undefined,
  ranges: [],
  all: { targetAddress: undefined },
  exclusions: [],
  isAuto: true,
}

/** The facts on which rules depend besides the options. */
export interface ForwardingVersions {
  /** True if IPv4 is on. */
  readonly hasV4: boolean
  /** True if IPv6 is on. */
  readonly hasV6: boolean
  /** Text of `/proc/sys/net/ipv4/ip_local_port_range`; empty if it can't be read. */
  readonly localPortRange: string
}

/** An option about ports, and its arguments. */
interface PortsOption {
  readonly option: string
  readonly protocol: number
  readonly interface: InterfaceId
  readonly given: readonly PortSpecification[]
}

/** The rules for the options, first those of the host. Rules of a disabled protocol are left out. */
export function resolveForwarding(
  options: Options,
  { localPortRange, ...versions }: ForwardingVersions,
  program: Program,
): ForwardingPlan {
  const requests = portsOptions(options)
    .filter(({ protocol }) => !isOff(options, protocol))
    .flatMap((ports) => requestsOf(ports, hasAuto(ports, options, program)))
  for (const request of requests) {
    const message = findUnreachable(request, options)
    if (message !== undefined) return { kind: "error", message }
  }
  const facts = { ...versions, ephemeralPorts: ephemeralPorts(localPortRange), freebind: options.freebind }
  return planForwarding(requests, facts)
}

/** Options without effect, because their protocol is off: one sentence each. */
export function findIdlePorts(options: Options): string[] {
  return portsOptions(options)
    .filter(({ protocol, given }) => isOff(options, protocol) && given.some(({ kind }) => kind === "ports"))
    .map(({ option, protocol }) => `${protocol === IpProtocol.tcp ? "TCP" : "UDP"} is off: ${option} has no effect`)
}

function portsOptions(options: Options): PortsOption[] {
  const { tcp, udp } = IpProtocol
  const { host, splice } = Interface
  return [
    { option: "-t", protocol: tcp, interface: host, given: options.tcpPorts },
    { option: "-u", protocol: udp, interface: host, given: options.udpPorts },
    { option: "-T", protocol: tcp, interface: splice, given: options.tcpNamespacePorts },
    { option: "-U", protocol: udp, interface: splice, given: options.udpNamespacePorts },
  ]
}

function isOff(options: Options, protocol: number): boolean {
  return protocol === IpProtocol.tcp ? options.noTcp : options.noUdp
}

/**
 * True if the option is `auto` by default. With `--no-host`, the namespace reaches only the host's ports that were
 * requested.
 */
function hasAuto(ports: PortsOption, { noHost }: Options, program: Program): boolean {
  return program === "pasta" && !(noHost && ports.interface === Interface.splice)
}

function requestsOf({ given, ...request }: PortsOption, isAuto: boolean): ForwardingRequest[] {
  if (given.length === 0) return isAuto ? [{ ...request, ports: AUTO }] : []
  return given.flatMap((ports) => (ports.kind === "none" ? [] : [{ ...request, ports }]))
}

/** The namespace's loopback is only reached from socket to socket, everything else only through the tap interface. */
function findUnreachable(request: ForwardingRequest, { noSplice, spliceOnly }: Options): string | undefined {
  if (request.interface === Interface.splice) return undefined
  const { text, ranges, all } = request.ports
  for (const range of [...ranges, all]) {
    const target = range?.targetAddress
    if (target === undefined || !(target.isLoopback ? noSplice : spliceOnly)) continue
    return `Invalid port specifier ${text}: ${target} can't be reached with ${noSplice ? "--no-splice" : "--splice-only"}`
  }
  return undefined
}

/**
 * The ports that the kernel assigns to outgoing connections: the two numbers of `ip_local_port_range`, see ip(7); the
 * default of Linux for any other text.
 */
export function ephemeralPorts(localPortRange: string): PortRange {
  const match = /^(\d{1,5})\s+(\d{1,5})\s*$/.exec(localPortRange)
  if (match === null) return DEFAULT_EPHEMERAL_PORTS
  const [first, last] = [Number(match[1]), Number(match[2])]
  return first <= last ? { first, last } : DEFAULT_EPHEMERAL_PORTS
}
