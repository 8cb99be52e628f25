/**
 * The options about ports, resolved to rules.
 *
 * pasta forwards what is bound (`auto`) by default. UDP follows TCP only there: a UDP rule that
 * follows what is bound opens a port also while TCP is bound to its number at the other end and forwarded there. There is no
 * rule for that: `PortForwarding.follow` in `@demiflow/flow` does it. Ports given by number are forwarded for the protocol
 * that they are given for, and for no other.
 */
import { Interface, type InterfaceId, IpProtocol } from "@demiflow/core"
import { type ForwardingPlan, type ForwardingRequest, planForwarding } from "./forwarding-plan.ts"
import type { Options, Program } from "./options.ts"
import type { ForwardedPorts, PortRange, PortSpecification } from "./port-specification.ts"

/** What Linux has unless configured otherwise. */
const DEFAULT_EPHEMERAL_PORTS: PortRange = { first: 32_768, last: 60_999 }
/** `auto`, which pasta has by default. */
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

/** What the rules depend on beside the options. */
export interface ForwardingVersions {
  /** True if IPv4 is on. */
  readonly hasV4: boolean
  /** True if IPv6 is on. */
  readonly hasV6: boolean
  /** Text of `/proc/sys/net/ipv4/ip_local_port_range`; empty if it can't be read. */
  readonly localPortRange: string
}

/** An option about ports, and what was given. */
interface PortsOption {
  readonly option: string
  readonly protocol: number
  readonly interface: InterfaceId
  readonly given: readonly PortSpecification[]
}

/** The rules that the options ask for, first those of the host. Those of a protocol that is off are left out. */
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
  const ephemeralPorts = parseLocalPortRange(localPortRange) ?? DEFAULT_EPHEMERAL_PORTS
  return planForwarding(requests, { ...versions, ephemeralPorts, freebind: options.freebind })
}

/** Options that have no effect, as their protocol is off: one sentence each. */
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

/** Whether the option is `auto` by default. Of a closed host, the namespace gets the ports alone that were asked for. */
function hasAuto(ports: PortsOption, { noHost }: Options, program: Program): boolean {
  return program === "pasta" && !(noHost && ports.interface === Interface.splice)
}

function requestsOf({ given, ...request }: PortsOption, isAuto: boolean): ForwardingRequest[] {
  if (given.length === 0) return isAuto ? [{ ...request, ports: AUTO }] : []
  return given.flatMap((ports) => (ports.kind === "none" ? [] : [{ ...request, ports }]))
}

/** The namespace's loopback is reached from socket to socket only, all else only through the tap interface. */
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

/** Reads `ip_local_port_range`, see ip(7): two numbers. */
function parseLocalPortRange(text: string): PortRange | undefined {
  const match = /^(\d{1,5})\s+(\d{1,5})\s*$/.exec(text)
  if (match === null) return undefined
  const [first, last] = [Number(match[1]), Number(match[2])]
  return first <= last ? { first, last } : undefined
}
