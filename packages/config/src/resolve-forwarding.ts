/** The options about ports, resolved to rules. */
import { IpProtocol } from "@demiflow/core"
import { type ForwardingPlan, type ForwardingRequest, planForwarding } from "./forwarding-plan.ts"
import type { Options } from "./options.ts"
import type { PortRange } from "./port-specification.ts"

/** What Linux has unless configured otherwise. */
const DEFAULT_EPHEMERAL_PORTS: PortRange = { first: 32_768, last: 60_999 }

/** What the rules depend on beside the options. */
export interface ForwardingVersions {
  /** True if IPv4 is on. */
  readonly hasV4: boolean
  /** True if IPv6 is on. */
  readonly hasV6: boolean
  /** Text of `/proc/sys/net/ipv4/ip_local_port_range`; empty if it can't be read. */
  readonly localPortRange: string
}

/** The rules that the options ask for. Those of a protocol that is off are left out. */
export function resolveForwarding(
  options: Options,
  { localPortRange, ...versions }: ForwardingVersions,
): ForwardingPlan {
  const requests = [
    ...(options.noTcp ? [] : requestsOf("-t", IpProtocol.tcp, options.tcpPorts)),
    ...(options.noUdp ? [] : requestsOf("-u", IpProtocol.udp, options.udpPorts)),
  ]
  const ephemeralPorts = parseLocalPortRange(localPortRange) ?? DEFAULT_EPHEMERAL_PORTS
  return planForwarding(requests, { ...versions, ephemeralPorts, freebind: options.freebind })
}

function requestsOf(option: string, protocol: number, ports: Options["tcpPorts"]): ForwardingRequest[] {
  return ports.flatMap((specification) =>
    specification.kind === "none" ? [] : [{ option, protocol, ports: specification }],
  )
}

/** Reads `ip_local_port_range`, see ip(7): two numbers. */
function parseLocalPortRange(text: string): PortRange | undefined {
  const match = /^(\d{1,5})\s+(\d{1,5})\s*$/.exec(text)
  if (match === null) return undefined
  const [first, last] = [Number(match[1]), Number(match[2])]
  return first <= last ? { first, last } : undefined
}
