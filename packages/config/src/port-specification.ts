/**
 * Parses port specifications, the arguments of `-t`, `-u`, `-T` and `-U`:
 *
 *     none
 *     [ADDRESS[%INTERFACE]/]ENTRY[,ENTRY]...
 *
 * where an entry is one of
 *
 *     FIRST[-LAST][:[TO_ADDRESS/]TO_FIRST[-TO_LAST]]     these ports, to those
 *     FIRST[-LAST][:TO_ADDRESS]                          these ports, to the same ones
 *     ~FIRST[-LAST]                                      not these, whatever the other entries say
 *     all[:TO_ADDRESS]                                   all ports that nothing else uses
 *     auto                                               of these ports, those that something in the namespace listens
 * at
 *
 * The address may be left out in front of `%INTERFACE`. IPv6 addresses may stand in brackets; in front of the target's
 * ports they may have to, as `5000:2001:db8::1/6000` is port 6000 of the host's address `5000:2001:db8::1`.
 *
 * The parser only represents the text: `forwarding-plan.ts` expands `all`, and checks the combination with other
 * options.
 */
import { Address } from "@demiflow/core"
import { parseInterfaceName } from "./option-values.ts"

/** Ports from `first` to `last`, both included, 1–65535. */
export interface PortRange {
  readonly first: number
  readonly last: number
}

/** Our ports, and their target. */
export interface MappedRange extends PortRange {
  /** Undefined: the address that the guest last used. */
  readonly targetAddress: Address | undefined
  /** The target port of `first`; the others follow in order. */
  readonly firstTarget: number
}

/** Ports to forward. */
export interface ForwardedPorts {
  readonly kind: "ports"
  /** The text as the user wrote it, for messages. */
  readonly text: string
  /**
   * Where to listen; undefined: at all addresses of both IP versions. May be the unspecified address of one version.
   */
  readonly address: Address | undefined
  /** Accept only packets that arrive on this interface. */
  readonly interfaceName: string | undefined
  readonly ranges: readonly MappedRange[]
  /** Defined if every free port is forwarded: after `all`, or if there is no range. */
  readonly all: { readonly targetAddress: Address | undefined } | undefined
  /** Never forwarded. */
  readonly exclusions: readonly PortRange[]
  /** True to forward only ports at which something in the namespace listens. */
  readonly isAuto: boolean
}

/** A parsed specification. */
export type PortSpecification = { readonly kind: "none" } | ForwardedPorts

/** A parsed specification, or one sentence about its error. */
export type ParsedPortSpecification = PortSpecification | { readonly kind: "error"; readonly message: string }

/** Stops the parser; only ever seen inside this module. */
class SpecificationError extends Error {}

/** Parses a port specification. */
export function parsePortSpecification(text: string): ParsedPortSpecification {
  if (text === "none") return { kind: "none" }
  try {
    return parsePorts(text)
  } catch (error) {
    if (!(error instanceof SpecificationError)) throw error
    return { kind: "error", message: `Invalid port specifier ${text}: ${error.message}` }
  }
}

function parsePorts(text: string): ForwardedPorts {
  const { address, interfaceName, list } = splitListeningEnd(text)
  const ranges: MappedRange[] = []
  const exclusions: PortRange[] = []
  let all: ForwardedPorts["all"]
  let isAuto = false
  for (const piece of list.split(",")) {
    const entry = piece.trim()
    const colon = entry.indexOf(":")
    const ports = colon < 0 ? entry : entry.slice(0, colon)
    const target = colon < 0 ? undefined : entry.slice(colon + 1)
    if (entry === "auto") isAuto = true
    else if (entry === "none") throw new SpecificationError("none can't be combined with anything else")
    else if (entry.startsWith("~")) exclusions.push(parseRange(entry.slice(1)))
    else if (ports === "all") {
      if (all !== undefined) throw new SpecificationError("all is given twice")
      all = { targetAddress: target === undefined ? undefined : parseTargetAddress(target, address) }
    } else ranges.push(parseMapping(parseRange(ports), target, address))
  }
  if (ranges.length === 0) all ??= { targetAddress: undefined }
  return { kind: "ports", text, address, interfaceName, ranges, all, exclusions, isAuto }
}

/** Stands for no address in particular. */
const ANY_ADDRESS = "*"

/** A target may contain a slash as well: the first one ends the listening address only if there is such an address. */
function splitListeningEnd(argument: string): Pick<ForwardedPorts, "address" | "interfaceName"> & { list: string } {
  const slash = argument.indexOf("/")
  const nothing = { address: undefined, interfaceName: undefined, list: argument }
  if (slash < 0) return nothing
  const head = argument.slice(0, slash)
  const list = argument.slice(slash + 1)
  const percent = head.indexOf("%")
  const text = percent < 0 ? head : head.slice(0, percent)
  const address = text === ANY_ADDRESS ? undefined : parseAddress(text)
  const isUsable = text === ANY_ADDRESS || (address !== undefined && (address.isUnicast || address.isUnspecified))
  if (percent < 0) {
    if (isUsable) return { address, interfaceName: undefined, list }
    if (mayBeEntries(head)) return nothing
  } else if (isUsable || percent === 0) {
    const interfaceName = parseInterfaceName(head.slice(percent + 1))
    if (interfaceName !== undefined) return { address, interfaceName, list }
    throw new SpecificationError(`'${head.slice(percent + 1)}' can't be the name of an interface`)
  }
  throw new SpecificationError(`'${head}' is no address to listen at`)
}

/** True if the text before a slash ends with a target address, as in `22,5000:192.0.2.5`. */
function mayBeEntries(head: string): boolean {
  return /^(~?\d+(-\d+)?|all|auto)[:,]/.test(head)
}

function parseMapping(range: PortRange, target: string | undefined, listening: Address | undefined): MappedRange {
  const same = { ...range, targetAddress: undefined, firstTarget: range.first }
  if (target === undefined) return same
  const slash = target.lastIndexOf("/")
  if (slash < 0 && !/^\d+(-\d+)?$/.test(target)) {
    return { ...same, targetAddress: parseTargetAddress(target, listening) }
  }
  const ports = parseRange(target.slice(slash + 1))
  if (ports.last - ports.first !== range.last - range.first) {
    throw new SpecificationError(`${formatRange(range)} and ${formatRange(ports)} are of different sizes`)
  }
  const targetAddress = slash < 0 ? undefined : parseTargetAddress(target.slice(0, slash), listening)
  return { ...range, targetAddress, firstTarget: ports.first }
}

/** Both ends must have one IP version, because nothing translates between IPv4 and IPv6. */
function parseTargetAddress(text: string, listening: Address | undefined): Address {
  const address = parseAddress(text)
  if (!address?.isUnicast) throw new SpecificationError(`'${text}' is no address to forward to`)
  if (listening !== undefined && listening.isV4 !== address.isV4) {
    throw new SpecificationError(`${listening} and ${address} are of different IP versions`)
  }
  return address
}

function parseRange(text: string): PortRange {
  const match = /^(\d{1,10})(?:-(\d{1,10}))?$/.exec(text)
  if (match === null) throw new SpecificationError(`'${text}' is neither a port nor a range of ports`)
  const first = Number(match[1])
  const last = match[2] === undefined ? first : Number(match[2])
  for (const port of [first, last]) {
    if (port < 1 || port > 65_535) throw new SpecificationError(`there is no port ${port}`)
  }
  if (last < first) throw new SpecificationError(`${text} ends before it begins`)
  return { first, last }
}

/**
 * An address, IPv6 with or without brackets. An IPv4-mapped one is the IPv4 address that it stands for (RFC 4291,
 * 2.5.5.2).
 */
function parseAddress(text: string): Address | undefined {
  const isBracketed = text.startsWith("[") && text.endsWith("]")
  const inner = isBracketed ? text.slice(1, -1) : text
  return isBracketed && !inner.includes(":") ? undefined : Address.tryParse(inner)
}

/** A range as it is written: `22`, `22-80`. */
export function formatRange({ first, last }: PortRange): string {
  return first === last ? `${first}` : `${first}-${last}`
}
