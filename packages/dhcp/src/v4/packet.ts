import { Address } from "@demiflow/core"
import { OptionPieces } from "./option-pieces.ts"
import {
  BOOT_FILE,
  BOOT_FILE_SIZE,
  BOOTP_LENGTH,
  CLIENT_ADDRESS,
  Dhcpv4Option,
  FLAGS,
  HARDWARE_ADDRESS,
  HARDWARE_ADDRESS_SIZE,
  HARDWARE_LENGTH,
  HARDWARE_TYPE,
  HOPS,
  MAGIC,
  MAGIC_COOKIE,
  MINIMUM_LENGTH,
  NEXT_SERVER,
  OPERATION,
  OPTIONS,
  Overload,
  RELAY_ADDRESS,
  SECONDS,
  SERVER_NAME,
  SERVER_NAME_SIZE,
  TRANSACTION_ID,
  YOUR_ADDRESS,
} from "./wire.ts"

/** The fields of a DHCPv4 message. */
export interface Dhcpv4Header {
  /** 1 from a client, 2 from a server. */
  readonly operation: number
  readonly hardwareType: number
  /** Bytes of the hardware address that count, 0–16. */
  readonly hardwareLength: number
  readonly hops: number
  /** Chosen by the client, unsigned. */
  readonly transactionId: number
  readonly seconds: number
  readonly flags: number
  /** The client's address, if it has one and can answer ARP requests for it (`ciaddr`). */
  readonly clientAddress: Address
  /** The address that is assigned to the client (`yiaddr`). */
  readonly yourAddress: Address
  readonly nextServer: Address
  /** Address of the relay agent, if there is one (`giaddr`). */
  readonly relayAddress: Address
  /** All 16 bytes of the field (`chaddr`). */
  readonly hardwareAddress: Uint8Array
}

/** A DHCPv4 message. */
export interface Dhcpv4Message extends Dhcpv4Header {
  /**
   * Options by code. Several options of one code are joined (RFC 3396, section 7). Empty if the field holds something
   * else, as BOOTP permits.
   */
  readonly options: ReadonlyMap<number, Uint8Array>
}

/** The ways in which a message can be malformed. */
export type Dhcpv4Malformation =
  | "truncated"
  | "no magic cookie"
  | "hardware address length"
  | "option length"
  | "overload"

/** A message, or what is wrong with it. */
export type ParsedDhcpv4 =
  | { readonly kind: "message"; readonly message: Dhcpv4Message }
  | { readonly kind: "malformed"; readonly reason: Dhcpv4Malformation }

/** Reads a UDP payload. Never throws. */
export function parseDhcpv4(bytes: Uint8Array): ParsedDhcpv4 {
  if (bytes.length < OPTIONS) return { kind: "malformed", reason: "truncated" }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  // RFC 2131 3 MUST: options follow the four bytes of the magic cookie
  const hasOptions = view.getUint32(MAGIC_COOKIE) === MAGIC
  if (!hasOptions && bytes.length < BOOTP_LENGTH) return { kind: "malformed", reason: "no magic cookie" }
  const hardwareLength = bytes[HARDWARE_LENGTH]
  // RFC 2131 2 (hardware) MUST: a hardware address is no longer than its field of 16 bytes
  if (hardwareLength > HARDWARE_ADDRESS_SIZE) return { kind: "malformed", reason: "hardware address length" }
  const options = hasOptions ? readOptions(bytes) : new Map<number, Uint8Array>()
  if (typeof options === "string") return { kind: "malformed", reason: options }
  const address = (offset: number) => new Address().readV4(view, offset)
  const message: Dhcpv4Message = {
    operation: bytes[OPERATION],
    hardwareType: bytes[HARDWARE_TYPE],
    hardwareLength,
    hops: bytes[HOPS],
    transactionId: view.getUint32(TRANSACTION_ID),
    seconds: view.getUint16(SECONDS),
    flags: view.getUint16(FLAGS),
    clientAddress: address(CLIENT_ADDRESS),
    yourAddress: address(YOUR_ADDRESS),
    nextServer: address(NEXT_SERVER),
    relayAddress: address(RELAY_ADDRESS),
    hardwareAddress: bytes.slice(HARDWARE_ADDRESS, HARDWARE_ADDRESS + HARDWARE_ADDRESS_SIZE),
    options,
  }
  return { kind: "message", message }
}

/** Reads the options field, then the boot file and server name fields if they hold options (RFC 3396, section 5). */
function readOptions(bytes: Uint8Array): Map<number, Uint8Array> | Dhcpv4Malformation {
  const pieces = new OptionPieces(bytes)
  if (!pieces.collect(OPTIONS, bytes.length)) return "option length"
  const options = pieces.join()
  const overload = options.get(Dhcpv4Option.overload)
  if (overload === undefined) return options
  // RFC 2132 9.3 MUST: an overload option has one byte, 1 to 3
  if (overload.length !== 1 || overload[0] < 1 || overload[0] > 3) return "overload"
  const { bootFile, serverName } = Overload
  // RFC 3396 5 MUST: the options field is read first, then the boot file field, then the server name field
  if ((overload[0] & bootFile) !== 0 && !pieces.collect(BOOT_FILE, BOOT_FILE + BOOT_FILE_SIZE)) return "option length"
  if ((overload[0] & serverName) !== 0 && !pieces.collect(SERVER_NAME, SERVER_NAME + SERVER_NAME_SIZE)) {
    return "option length"
  }
  // An overload option inside an overloaded field means nothing.
  return pieces.join().set(Dhcpv4Option.overload, overload)
}

/** An option to be sent. */
export interface Dhcpv4OptionValue {
  readonly code: number
  readonly value: Uint8Array
}

/**
 * Writes a message to the start of `target`. Returns its length: at least 300 bytes, at most `limit`.
 *
 * Options for which the options field has no room go to the boot file and server name fields (RFC 2131, section 4.1).
 * Those that fit nowhere are omitted, so the most important ones should come first.
 *
 * @param limit bytes that the client accepts, 300 to the length of `target`
 */
export function emitDhcpv4(
  header: Dhcpv4Header,
  options: readonly Dhcpv4OptionValue[],
  limit: number,
  target: Uint8Array,
): number {
  target.fill(0, 0, limit)
  const view = new DataView(target.buffer, target.byteOffset, target.byteLength)
  target[OPERATION] = header.operation
  target[HARDWARE_TYPE] = header.hardwareType
  target[HARDWARE_LENGTH] = header.hardwareLength
  target[HOPS] = header.hops
  view.setUint32(TRANSACTION_ID, header.transactionId)
  view.setUint16(SECONDS, header.seconds)
  view.setUint16(FLAGS, header.flags)
  header.clientAddress.writeV4(view, CLIENT_ADDRESS)
  header.yourAddress.writeV4(view, YOUR_ADDRESS)
  header.nextServer.writeV4(view, NEXT_SERVER)
  header.relayAddress.writeV4(view, RELAY_ADDRESS)
  target.set(header.hardwareAddress.subarray(0, HARDWARE_ADDRESS_SIZE), HARDWARE_ADDRESS)
  view.setUint32(MAGIC_COOKIE, MAGIC)
  // RFC 1542 2.1 MUST: a message has 300 bytes or more
  return Math.max(MINIMUM_LENGTH, emitOptions(options.map(encodeOption), limit, target))
}

/** Writes the options. Returns the end of the options field. */
function emitOptions(encoded: readonly Uint8Array[], limit: number, target: Uint8Array): number {
  const main = new OptionField(target, OPTIONS, limit)
  if (encoded.reduce((sum, option) => sum + option.length, 0) <= main.room) {
    for (const option of encoded) main.add(option)
    return main.finish()
  }
  const bootFile = new OptionField(target, BOOT_FILE, BOOT_FILE + BOOT_FILE_SIZE)
  const serverName = new OptionField(target, SERVER_NAME, SERVER_NAME + SERVER_NAME_SIZE)
  const overload = Uint8Array.of(Dhcpv4Option.overload, 1, 0)
  main.add(overload)
  const overloadAt = main.position - 1
  for (const option of encoded) {
    const field = [main, bootFile, serverName].find((candidate) => option.length <= candidate.room)
    field?.add(option)
  }
  if (bootFile.finish() > BOOT_FILE + 1) target[overloadAt] |= Overload.bootFile
  if (serverName.finish() > SERVER_NAME + 1) target[overloadAt] |= Overload.serverName
  // If the other two fields are unused, there is nothing to announce: overwrite the overload option with padding.
  if (target[overloadAt] === 0) {
    target.fill(0, overloadAt - 2, overloadAt + 1)
    target[BOOT_FILE] = 0
    target[SERVER_NAME] = 0
  }
  return main.finish()
}

/** A field that options are written to. One byte is reserved for the end option. */
class OptionField {
  position: number
  readonly #target: Uint8Array
  readonly #end: number

  constructor(target: Uint8Array, start: number, end: number) {
    this.#target = target
    this.position = start
    this.#end = end
  }

  get room(): number {
    return this.#end - 1 - this.position
  }

  add(option: Uint8Array): void {
    this.#target.set(option, this.position)
    this.position += option.length
  }

  /** Writes the end option. Returns the position behind it. May be called again. */
  finish(): number {
    // RFC 2131 4.1 (end) MUST: the last option of each field is the end option
    this.#target[this.position] = Dhcpv4Option.end
    return this.position + 1
  }
}

/** Returns the length of an option with a value of this length, bytes. */
export function encodedLength(valueLength: number): number {
  return valueLength + 2 * Math.max(1, Math.ceil(valueLength / 255))
}

/** Encodes code, length, value; as several options if the value is longer than 255 bytes (RFC 3396, section 4). */
function encodeOption({ code, value }: Dhcpv4OptionValue): Uint8Array {
  const bytes: number[] = []
  for (let start = 0; start === 0 || start < value.length; start += 255) {
    // RFC 3396 4 MUST: a value of more than 255 bytes is split into several options of one code
    const piece = value.subarray(start, start + 255)
    bytes.push(code, piece.length, ...piece)
  }
  return Uint8Array.from(bytes)
}
