/**
 * Composable checks on packets: `expectFrame(frame, check.ip({ source }), check.tcp({ flags: "SA" }))`.
 *
 * A field is compared with a value, or passed to a function that returns whether it matches. Every frame must also be
 * well-formed (lengths, checksums), unless `check.malformed()` is among the checks.
 */
import { Address, MacAddress } from "@demiflow/core"
import { type BytesLike, sameBytes, toBytes, toHex } from "../bytes.ts"
import { toAddress } from "../host/world.ts"
import { toMac } from "./build-network.ts"
import { describePacket } from "./describe.ts"
import type {
  ParsedArp,
  ParsedEthernet,
  ParsedFrame,
  ParsedIcmp,
  ParsedIp,
  ParsedPacket,
  ParsedTcp,
  ParsedUdp,
} from "./parse.ts"
import type { TcpOptions } from "./tcp-options.ts"

/** Returns the problems of a frame, a sentence each; none if it passes. */
export interface Check {
  (frame: ParsedFrame): readonly string[]
  /** True if the frame's own problems don't count. */
  readonly toleratesProblems?: boolean
}

/** A value that a field must have, or a function that returns whether it matches. Addresses may be given as text. */
export type Expected<Value> =
  | (Value extends Address | MacAddress ? Value | string : Value)
  | ((value: Value) => boolean)

/** Expectations for some fields of a header. */
export type ExpectedFields<Header> = { readonly [Key in keyof Header]?: Expected<Header[Key]> }

/** Returns the frame if it passes every check and is well-formed. Throws `PacketMismatchError` otherwise. */
export function expectFrame(frame: ParsedFrame | undefined, ...checks: readonly Check[]): ParsedFrame {
  if (frame === undefined) throw new PacketMismatchError(["there is no frame"], undefined)
  const problems = mismatches(frame, checks)
  if (problems.length > 0) throw new PacketMismatchError(problems, frame)
  return frame
}

/** Returns why the frame fails the checks; nothing if it passes. */
export function mismatches(frame: ParsedFrame, checks: readonly Check[]): string[] {
  const own = checks.some((one) => one.toleratesProblems) ? [] : frame.problems
  return [...own, ...checks.flatMap((one) => one(frame))]
}

/** A frame differs from a test's expectation. The message shows all differences, and the frame. */
export class PacketMismatchError extends Error {
  readonly code = "ERR_PACKET_MISMATCH"
  readonly problems: readonly string[]

  constructor(problems: readonly string[], frame: ParsedFrame | undefined) {
    super(`${problems.join("; ")}${frame === undefined ? "" : `\nin ${describePacket(frame)}`}`)
    this.name = "PacketMismatchError"
    this.problems = problems
  }
}

/** The frame's Ethernet header. */
export function ethernet(expected: ExpectedFields<ParsedEthernet>): Check {
  return (frame) => compare("Ethernet", frame.ethernet, expected)
}

/** The frame is an ARP packet. */
export function arp(expected: ExpectedFields<ParsedArp> = {}): Check {
  return (frame) => compare("ARP", frame.arp, expected)
}

/** The frame is an IPv4 or IPv6 packet. */
export function ip(expected: ExpectedFields<ParsedIp> = {}): Check {
  return (frame) => compare("IP", frame.ip, expected)
}

/** The frame is an IPv4 packet. */
export function ipv4(expected: ExpectedFields<ParsedIp> = {}): Check {
  return ip({ version: 4, ...expected })
}

/** The frame is an IPv6 packet. */
export function ipv6(expected: ExpectedFields<ParsedIp> = {}): Check {
  return ip({ version: 6, ...expected })
}

/** The frame is a TCP segment. The flag PSH is ignored unless the expected letters name it. */
export function tcp(expected: ExpectedFields<Omit<ParsedTcp, "options">> = {}): Check {
  return (frame) => {
    const { flags } = expected
    if (typeof flags !== "string" || flags.includes("P")) return compare("TCP", frame.tcp, expected)
    const letters = sorted(flags)
    const sameFlags = (found: string) => sorted(found.replace("P", "")) === letters
    const rest = compare("TCP", frame.tcp, { ...expected, flags: undefined })
    if (frame.tcp === undefined || sameFlags(frame.tcp.flags)) return rest
    return [`TCP flags are ${frame.tcp.flags || "none"} and should be ${flags}`, ...rest]
  }
}

/** The options of a TCP segment; an option given as undefined must be absent. */
export function tcpOptions(expected: ExpectedFields<TcpOptions>): Check {
  return (frame) => {
    const options: TcpOptions | undefined = frame.tcp?.options
    const absent = (Object.keys(expected) as (keyof TcpOptions)[])
      .filter((name) => expected[name] === undefined && options?.[name] !== undefined)
      .map((name) => `TCP option ${name} is there and should not be`)
    return [...absent, ...compare("TCP options", options, expected)]
  }
}

/** The frame is a UDP datagram. */
export function udp(expected: ExpectedFields<ParsedUdp> = {}): Check {
  return (frame) => compare("UDP", frame.udp, expected)
}

/** The frame is an ICMP or ICMPv6 message. */
export function icmp(expected: ExpectedFields<Omit<ParsedIcmp, "quote">> = {}): Check {
  return (frame) => compare("ICMP", frame.icmp, expected)
}

/** The packet that an ICMP error quotes passes the checks. Its own lengths and checksums are ignored. */
export function quote(...checks: readonly Check[]): Check {
  return (frame) => {
    const packet: ParsedPacket | undefined = frame.icmp?.quote
    if (packet === undefined) return ["it quotes no packet"]
    const quoted: ParsedFrame = { ...packet, bytes: new Uint8Array(0), problems: [] }
    return mismatches(quoted, checks).map((problem) => `in the quoted packet: ${problem}`)
  }
}

/** The bytes inside the innermost header equal these, or match the function. */
export function payload(expected: BytesLike | ((bytes: Uint8Array) => boolean)): Check {
  return (frame) => {
    if (typeof expected === "function") {
      return expected(frame.payload) ? [] : [`the payload won't do: ${toHex(frame.payload)}`]
    }
    const bytes = toBytes(expected)
    if (sameBytes(bytes, frame.payload)) return []
    return [`the payload is ${toHex(frame.payload)} and should be ${toHex(bytes)}`]
  }
}

/** The number of bytes inside the innermost header. */
export function payloadLength(expected: Expected<number>): Check {
  return (frame) => compare("payload", frame.payload, { length: expected })
}

/** The frame may have wrong lengths and checksums. */
export function malformed(): Check {
  return Object.assign(() => [], { toleratesProblems: true })
}

/** A field of at least this value, for use in a check. */
export function atLeast(least: number): (value: number) => boolean {
  return Object.assign((value: number) => value >= least, { toString: () => `at least ${least}` })
}

function compare<Header extends object>(
  layer: string,
  found: Header | undefined,
  expected: { readonly [Key in keyof Header]?: unknown },
): string[] {
  if (found === undefined) return [`it has no ${layer} header`]
  return (Object.keys(expected) as (keyof Header & string)[]).flatMap((name) => {
    const wanted: unknown = expected[name]
    const value = found[name]
    if (wanted === undefined || matches(value, wanted)) return []
    return [`${layer} ${name} is ${show(value)} and should be ${show(wanted)}`]
  })
}

function matches(value: unknown, wanted: unknown): boolean {
  if (typeof wanted === "function") return Boolean(wanted(value))
  if (value instanceof Address) return value.equals(toAddress(wanted as Address | string))
  if (value instanceof MacAddress) return value.equals(toMac(wanted as MacAddress | string))
  if (typeof value === "object" && value !== null) return JSON.stringify(value) === JSON.stringify(wanted)
  return value === wanted
}

function show(value: unknown): string {
  if (typeof value === "function") {
    const text = String(value)
    return text.startsWith("at least") ? text : `what ${text} takes`
  }
  if (value instanceof Address || value instanceof MacAddress) return value.toString()
  if (typeof value === "object") return JSON.stringify(value)
  return String(value)
}

function sorted(letters: string): string {
  return [...letters].sort().join("")
}
