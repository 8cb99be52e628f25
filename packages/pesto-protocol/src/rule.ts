/** A rule on the wire: 56 bytes, integers in network byte order. */
import { Address, IpProtocol, UNSPECIFIED_V6 } from "@demiflow/core"
import type { ForwardingRule } from "@demiflow/flow"
import { decodeText, encodeText } from "./text.ts"

/** A rule as both ends see it: its place is that of its table, and only the running program knows `freebind`. */
export type PestoRule = Omit<ForwardingRule, "interface" | "freebind">

/** Bytes of a rule. */
export const RULE_BYTES = 56

const INTERFACE_NAME_BYTES = 16
const Offset = {
  address: 0,
  target: 16,
  interfaceName: 32,
  first: 48,
  last: 50,
  firstTarget: 52,
  protocol: 54,
  flags: 55,
}
const Flag = { anyAddress: 1, bestEffort: 2, auto: 4 }
const KNOWN_FLAGS = Flag.anyAddress | Flag.bestEffort | Flag.auto
const LAST_PORT = 65_535

/** Writes a rule at an offset. The interface's name has at most 15 bytes, as Linux allows. */
export function writeRule(bytes: Uint8Array, offset: number, rule: PestoRule): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, RULE_BYTES)
  bytes.fill(0, offset, offset + RULE_BYTES)
  rule.address?.writeV6(view, Offset.address)
  rule.targetAddress?.writeV6(view, Offset.target)
  const name = encodeText(rule.interfaceName ?? "")
  bytes.set(name.subarray(0, INTERFACE_NAME_BYTES - 1), offset + Offset.interfaceName)
  view.setUint16(Offset.first, rule.firstPort)
  view.setUint16(Offset.last, rule.lastPort)
  view.setUint16(Offset.firstTarget, rule.firstTargetPort)
  view.setUint8(Offset.protocol, rule.protocol)
  view.setUint8(
    Offset.flags,
    (rule.address === undefined ? Flag.anyAddress : 0) |
      (rule.isBestEffort ? Flag.bestEffort : 0) |
      (rule.isAuto ? Flag.auto : 0),
  )
}

/** Reads the 56 bytes of a rule. Returns one sentence if they are none. */
export function readRule(bytes: Uint8Array): PestoRule | string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, RULE_BYTES)
  const flags = view.getUint8(Offset.flags)
  if ((flags & ~KNOWN_FLAGS) !== 0) return `a rule has unknown flags: ${flags}`
  const protocol = view.getUint8(Offset.protocol)
  if (protocol !== IpProtocol.tcp && protocol !== IpProtocol.udp) return `a rule is for IP protocol ${protocol}`
  const interfaceName = readName(bytes.subarray(Offset.interfaceName, Offset.first))
  if (interfaceName === undefined) return "a rule has an impossible interface name"
  const address = Address.fromBytes(bytes.subarray(Offset.address, Offset.target))
  const target = Address.fromBytes(bytes.subarray(Offset.target, Offset.interfaceName))
  const isAnyAddress = (flags & Flag.anyAddress) !== 0
  const ports = {
    firstPort: view.getUint16(Offset.first),
    lastPort: view.getUint16(Offset.last),
    firstTargetPort: view.getUint16(Offset.firstTarget),
  }
  const targetAddress = target.equals(UNSPECIFIED_V6) ? undefined : target
  return (
    findProblem(ports) ??
    findAddressProblem(address, isAnyAddress, targetAddress) ?? {
      protocol,
      address: isAnyAddress ? undefined : address,
      interfaceName: interfaceName === "" ? undefined : interfaceName,
      ...ports,
      targetAddress,
      isBestEffort: (flags & Flag.bestEffort) !== 0,
      isAuto: (flags & Flag.auto) !== 0,
    }
  )
}

function findProblem({ firstPort, lastPort, firstTargetPort }: Record<string, number>): string | undefined {
  if (firstPort === 0 || firstTargetPort === 0) return "a rule is for port 0"
  if (lastPort < firstPort) return `a rule's ports end before they begin: ${firstPort}-${lastPort}`
  return firstTargetPort + lastPort - firstPort > LAST_PORT ? "a rule's target ports end after 65535" : undefined
}

function findAddressProblem(address: Address, isAnyAddress: boolean, target: Address | undefined): string | undefined {
  if (isAnyAddress && !address.isUnspecified) return "a rule is for any address, and names one"
  if (!isAnyAddress && !address.isUnspecified && !address.isUnicast) return `a rule listens at ${address}`
  if (target === undefined) return undefined
  if (!target.isUnicast) return `a rule leads to ${target}`
  const isMixed = !isAnyAddress && address.isV4 !== target.isV4
  return isMixed ? `a rule leads from ${address} to ${target}, another IP version` : undefined
}

/** Undefined for a name that no interface can have. */
function readName(bytes: Uint8Array): string | undefined {
  const end = bytes.indexOf(0)
  if (end < 0) return undefined
  const name = decodeText(bytes.subarray(0, end))
  return /[\s/:\p{Control}\ufffd]/u.test(name) || name === "." || name === ".." ? undefined : name
}
