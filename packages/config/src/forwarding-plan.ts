/**
 * Turns port specifications into forwarding rules: expands `all`, applies exclusions, chooses IP versions, and
 * finds contradictions.
 *
 * Ports of the namespace (`-T`, `-U`) are those of its loopback interface, unless an address or an interface is given:
 * other ports stay free for the namespace's own listeners.
 *
 * A port that is forwarded twice is refused, because only one rule could have it; so are ports named beside an `all`
 * that includes them. Excluding them from `all` (`-t all,~2222 -t 2222:22`) is unambiguous.
 */
import { type Address, Interface, type InterfaceId, IpProtocol, UNSPECIFIED_V4, UNSPECIFIED_V6 } from "@demiflow/core"
import type { ForwardingRule } from "@demiflow/flow"
import { type ForwardedPorts, formatRange, type MappedRange, type PortRange } from "./port-specification.ts"

/** A rule, and its option. Several rules may come from one option. */
export interface ConfiguredRule extends ForwardingRule {
  /** The option as the user gave it, for messages: `-t 22,25`. */
  readonly option: string
}

/** Ports requested with one option. */
export interface ForwardingRequest {
  /** `-t`, `-u`, `-T` or `-U`. */
  readonly option: string
  /** Where to listen: `host` for those that lead to the guest, `splice` for those that lead to the host. */
  readonly interface: InterfaceId
  /** IP protocol number. */
  readonly protocol: number
  readonly ports: ForwardedPorts
}

/** The facts on which rules depend besides the requests. */
export interface ForwardingFacts {
  /** True if IPv4 is on. */
  readonly hasV4: boolean
  /** True if IPv6 is on. */
  readonly hasV6: boolean
  /** Ports that the kernel assigns to outgoing connections: not part of `all`. */
  readonly ephemeralPorts: PortRange
  /** `--freebind`: applies to ports of the host. */
  readonly freebind: boolean
}

/** Rules in the order of the requests, or one sentence on why they are refused. */
export type ForwardingPlan =
  | { readonly kind: "rules"; readonly rules: readonly ConfiguredRule[] }
  | { readonly kind: "error"; readonly message: string }

const LOOPBACK_INTERFACE = "lo"
const ALL_PORTS: PortRange = { first: 1, last: 65_535 }

/** Turns requests into rules. */
export function planForwarding(requests: readonly ForwardingRequest[], facts: ForwardingFacts): ForwardingPlan {
  const rules: ConfiguredRule[] = []
  for (const request of requests) {
    const option = `${request.option} ${request.ports.text}`
    const disabled = findDisabledVersion(request.ports, facts)
    if (disabled !== undefined) return failure(`${disabled} is off, but '${option}' is for ${disabled}`)
    const planned = planRequest(request, option, facts)
    if (planned.length === 0) return failure(`'${option}' excludes every port that it forwards`)
    for (const rule of planned) {
      const other = rules.find((known) => overlaps(known, rule))
      if (other !== undefined) return failure(describeOverlap(request.ports, rule, other))
      rules.push(rule)
    }
  }
  return { kind: "rules", rules }
}

function failure(message: string): ForwardingPlan {
  return { kind: "error", message }
}

function findDisabledVersion(ports: ForwardedPorts, { hasV4, hasV6 }: ForwardingFacts): string | undefined {
  const targets = [...ports.ranges, ports.all].map((range) => range?.targetAddress)
  const addresses = [ports.address, ...targets].filter((address) => address !== undefined)
  if (!hasV4 && addresses.some((address) => address.isV4)) return "IPv4"
  return !hasV6 && addresses.some((address) => !address.isV4) ? "IPv6" : undefined
}

function planRequest(request: ForwardingRequest, option: string, facts: ForwardingFacts): ConfiguredRule[] {
  const { protocol, ports } = request
  const { exclusions, isAuto } = ports
  const isOnHost = request.interface === Interface.host
  const isLoopbackImplied = !isOnHost && ports.address === undefined
  const interfaceName = ports.interfaceName ?? (isLoopbackImplied ? LOOPBACK_INTERFACE : undefined)
  const toRule =
    (isBestEffort: boolean) =>
    (range: MappedRange): ConfiguredRule => ({
      option,
      interface: request.interface,
      protocol,
      address: ports.address ?? anyAddress(range.targetAddress, facts),
      interfaceName,
      firstPort: range.first,
      lastPort: range.last,
      targetAddress: range.targetAddress,
      firstTargetPort: range.firstTarget,
      isBestEffort,
      isAuto,
      freebind: facts.freebind && isOnHost,
    })
  const named = ports.ranges.flatMap((range) => exclude(range, exclusions))
  const rest =
    ports.all && exclude({ ...ALL_PORTS, ...ports.all, firstTarget: 1 }, [facts.ephemeralPorts, ...exclusions])
  return [...named.map(toRule(isAuto)), ...(rest ?? []).map(toRule(true))]
}

/** Where a rule without address listens: for both versions of IP, unless only one can be forwarded. */
export function anyAddress(
  target: Readonly<Address> | undefined,
  { hasV4, hasV6 }: Pick<ForwardingFacts, "hasV4" | "hasV6">,
): Readonly<Address> | undefined {
  if (target === undefined && hasV4 && hasV6) return undefined
  return (target?.isV4 ?? hasV4) ? UNSPECIFIED_V4 : UNSPECIFIED_V6
}

/** The range without the excluded ports. The targets of the others don't change. */
function exclude(range: MappedRange, exclusions: readonly PortRange[]): MappedRange[] {
  let remaining = [range]
  for (const { first, last } of exclusions) {
    remaining = remaining.flatMap((some) => [
      ...part(some, some.first, Math.min(some.last, first - 1)),
      ...part(some, Math.max(some.first, last + 1), some.last),
    ])
  }
  return remaining
}

function part(range: MappedRange, first: number, last: number): MappedRange[] {
  return first > last ? [] : [{ ...range, first, last, firstTarget: range.firstTarget + first - range.first }]
}

/** True if both rules would have to listen at a common port. */
export function overlaps(one: ForwardingRule, other: ForwardingRule): boolean {
  return (
    one.interface === other.interface &&
    one.protocol === other.protocol &&
    one.firstPort <= other.lastPort &&
    other.firstPort <= one.lastPort &&
    (one.interfaceName === undefined ||
      other.interfaceName === undefined ||
      one.interfaceName === other.interfaceName) &&
    sharesAddress(one.address, other.address)
  )
}

function sharesAddress(one: Readonly<Address> | undefined, other: Readonly<Address> | undefined): boolean {
  if (one === undefined || other === undefined) return true
  if (one.isV4 !== other.isV4) return false
  return one.isUnspecified || other.isUnspecified || one.equals(other)
}

function describeOverlap(ports: ForwardedPorts, rule: ConfiguredRule, other: ConfiguredRule): string {
  const common = {
    first: Math.max(rule.firstPort, other.firstPort),
    last: Math.min(rule.lastPort, other.lastPort),
  }
  const which = common.first === common.last ? "port" : "ports"
  return `Overlapping port specifier ${ports.text}: '${other.option}' forwards ${which} ${formatRange(common)} already`
}

/** A rule as users read it: `TCP [*]:2222  =>  22`, `UDP [*]%lo:1-99  =>  1-99  (best effort) (auto-scan)`. */
export function formatRule(rule: ForwardingRule): string {
  const { address, interfaceName, targetAddress, firstPort, lastPort, firstTargetPort } = rule
  const from = `[${address ?? "*"}]${interfaceName === undefined ? "" : `%${interfaceName}`}`
  const ports = formatRange({ first: firstPort, last: lastPort })
  const targetPorts = formatRange({ first: firstTargetPort, last: firstTargetPort + lastPort - firstPort })
  const target = targetAddress?.isV4 === false ? `[${targetAddress}]` : targetAddress
  const to = target === undefined ? targetPorts : `${target}:${targetPorts}`
  const protocol = rule.protocol === IpProtocol.tcp ? "TCP" : "UDP"
  return `${protocol} ${from}:${ports}  =>  ${to}${rule.isBestEffort ? "  (best effort)" : ""}${rule.isAuto ? " (auto-scan)" : ""}`
}
