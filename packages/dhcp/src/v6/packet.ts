import { Address } from "@demiflow/core"
import {
  ADDRESS_OPTIONS,
  ASSOCIATION_OPTIONS,
  MAXIMUM_DUID_LENGTH,
  MESSAGE_TYPE,
  OPTION_CODE,
  OPTION_HEADER_LENGTH,
  OPTION_LENGTH,
  OPTIONS,
  Dhcpv6Option as Option,
  TEMPORARY_ASSOCIATION_OPTIONS,
  TRANSACTION_ID,
} from "./wire.ts"

/** What a client holds under one identity. */
export type AssociationKind = "addresses" | "temporary addresses" | "prefixes"

/** What a client holds, or requests, under one identity (RFC 8415, section 12). */
export interface Association {
  readonly kind: AssociationKind
  /** Chosen by the client, unsigned 32 bits. */
  readonly identity: number
  /** Empty for prefixes, which are not read. */
  readonly addresses: readonly Address[]
}

/** A message from a client. */
export interface Dhcpv6Message {
  readonly type: number
  /** Unsigned 24 bits. */
  readonly transactionId: number
  readonly clientIdentifier: Uint8Array | undefined
  readonly serverIdentifier: Uint8Array | undefined
  /** The first 64 of them. */
  readonly associations: readonly Association[]
  /** Codes of the options that the client requests; undefined if it doesn't say. */
  readonly requestedOptions: readonly number[] | undefined
  readonly rapidCommit: boolean
  /** Value of the client's FQDN option (RFC 4704). */
  readonly fqdn: Uint8Array | undefined
}

/** The ways in which a message can be malformed. */
export type Dhcpv6Malformation = "truncated" | "option length" | "option value"

/** A message, or what is wrong with it. */
export type ParsedDhcpv6 =
  | { readonly kind: "message"; readonly message: Dhcpv6Message }
  | { readonly kind: "malformed"; readonly reason: Dhcpv6Malformation }

/** Maximum number of associations that are read: far more than a reply has room for. */
const MOST_ASSOCIATIONS = 64

interface RawOption {
  readonly code: number
  readonly value: Uint8Array
}

/** Reads a UDP payload. Never throws. If an option that may occur once is repeated, the first one counts. */
export function parseDhcpv6(bytes: Uint8Array): ParsedDhcpv6 {
  if (bytes.length < OPTIONS) return { kind: "malformed", reason: "truncated" }
  const options = readOptions(bytes.subarray(OPTIONS))
  if (options === undefined) return { kind: "malformed", reason: "option length" }
  const first = (code: number) => options.find((option) => option.code === code)?.value
  const clientIdentifier = first(Option.clientIdentifier)
  const serverIdentifier = first(Option.serverIdentifier)
  const requested = first(Option.optionRequest)
  const fqdn = first(Option.clientFqdn)
  const associations = readAssociations(options)
  const isSound =
    associations !== undefined &&
    isIdentifier(clientIdentifier) &&
    isIdentifier(serverIdentifier) &&
    (requested === undefined || requested.length % 2 === 0) &&
    (fqdn === undefined || fqdn.length >= 1)
  if (!isSound) return { kind: "malformed", reason: "option value" }
  const message: Dhcpv6Message = {
    type: bytes[MESSAGE_TYPE],
    transactionId: viewOf(bytes).getUint32(0) & 0xffffff,
    clientIdentifier,
    serverIdentifier,
    associations,
    requestedOptions: requested === undefined ? undefined : readCodes(requested),
    rapidCommit: first(Option.rapidCommit) !== undefined,
    fqdn,
  }
  return { kind: "message", message }
}

/** Returns the options in their order, values copied; undefined if one extends beyond the end. */
function readOptions(bytes: Uint8Array): RawOption[] | undefined {
  const options: RawOption[] = []
  const view = viewOf(bytes)
  let position = 0
  while (position < bytes.length) {
    if (bytes.length - position < OPTION_HEADER_LENGTH) return undefined
    const start = position + OPTION_HEADER_LENGTH
    const end = start + view.getUint16(position + OPTION_LENGTH)
    // RFC 8415 16 (malformed) MAY: a message with malformed options is discarded
    if (end > bytes.length) return undefined
    options.push({ code: view.getUint16(position + OPTION_CODE), value: bytes.slice(start, end) })
    position = end
  }
  return options
}

/** Returns undefined if an association is too short, or has malformed options. */
function readAssociations(options: readonly RawOption[]): Association[] | undefined {
  const associations: Association[] = []
  for (const { code, value } of options) {
    const kind = associationKind(code)
    if (kind === undefined) continue
    if (associations.length === MOST_ASSOCIATIONS) break
    const start = kind === "temporary addresses" ? TEMPORARY_ASSOCIATION_OPTIONS : ASSOCIATION_OPTIONS
    const inner = value.length < start ? undefined : readOptions(value.subarray(start))
    if (inner === undefined) return undefined
    const held = inner.filter((option) => option.code === Option.address && kind !== "prefixes")
    if (held.some((option) => option.value.length < ADDRESS_OPTIONS)) return undefined
    const addresses = held.map((option) => new Address().readV6(viewOf(option.value), 0))
    associations.push({ kind, identity: viewOf(value).getUint32(0), addresses })
  }
  return associations
}

function associationKind(code: number): AssociationKind | undefined {
  switch (code) {
    case Option.identityAssociation:
      return "addresses"
    case Option.temporaryAssociation:
      return "temporary addresses"
    case Option.prefixDelegation:
      return "prefixes"
    default:
      return undefined
  }
}

function isIdentifier(value: Uint8Array | undefined): boolean {
  // RFC 8415 11.1 MUST: an identifier has no more than 128 bytes behind its type
  return value === undefined || (value.length > 2 && value.length <= MAXIMUM_DUID_LENGTH)
}

function readCodes(value: Uint8Array): number[] {
  const view = viewOf(value)
  return Array.from({ length: value.length / 2 }, (_, index) => view.getUint16(index * 2))
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** An option to be sent. */
export interface Dhcpv6OptionValue {
  readonly code: number
  /** Bytes, or some bytes followed by nested options. */
  readonly value: Uint8Array
}

/** Returns the value of an option that holds nested options behind fields of its own. */
export function nestOptions(fields: Uint8Array, options: readonly Dhcpv6OptionValue[]): Uint8Array {
  const bytes = new Uint8Array(fields.length + sizeOfOptions(options))
  bytes.set(fields)
  emitOptions(options, bytes, fields.length)
  return bytes
}

/** Writes a message to the start of `target`. Returns its length. Options that don't fit are omitted. */
export function emitDhcpv6(
  type: number,
  transactionId: number,
  options: readonly Dhcpv6OptionValue[],
  target: Uint8Array,
): number {
  target[MESSAGE_TYPE] = type
  target[TRANSACTION_ID] = transactionId >>> 16
  target[TRANSACTION_ID + 1] = transactionId >>> 8
  target[TRANSACTION_ID + 2] = transactionId
  return emitOptions(options, target, OPTIONS)
}

function emitOptions(options: readonly Dhcpv6OptionValue[], target: Uint8Array, start: number): number {
  const view = viewOf(target)
  let position = start
  for (const option of options) {
    if (position + sizeOf(option) > target.length) continue
    view.setUint16(position + OPTION_CODE, option.code)
    view.setUint16(position + OPTION_LENGTH, option.value.length)
    target.set(option.value, position + OPTION_HEADER_LENGTH)
    position += sizeOf(option)
  }
  return position
}

/** Returns the length of options, bytes. */
export function sizeOfOptions(options: readonly Dhcpv6OptionValue[]): number {
  return options.reduce((sum, option) => sum + sizeOf(option), 0)
}

function sizeOf(option: Dhcpv6OptionValue): number {
  return OPTION_HEADER_LENGTH + option.value.length
}
