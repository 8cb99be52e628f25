/**
 * The netlink format: messages of a 16-byte header, a fixed part and attributes, each padded to four bytes. Integers
 * are in machine byte order; addresses, where attributes carry them, in network order. See netlink(7).
 */

import type { RawAttribute } from "@demiflow/core"

/** Bytes of a message header. */
export const HEADER_BYTES = 16
/** Bytes of an attribute header. */
export const ATTRIBUTE_HEADER_BYTES = 4
/** Flag in the type of an attribute that contains attributes. */
const NESTED = 0x8000
/** Mask for an attribute's type without its flags. */
const TYPE_MASK = 0x3fff

/** True on little-endian machines: the byte order of netlink's integers, as `DataView` takes it. */
export const MACHINE_ORDER: boolean = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1

/** The next multiple of four. */
export function align(length: number): number {
  return (length + 3) & ~3
}

/** Where the contents of a message or an attribute lie: from `offset` up to, not including, `end`. */
export interface Range {
  readonly offset: number
  readonly end: number
}

/** A received message's header, and where its contents lie. */
export interface Message extends Range {
  readonly type: number
  /** `NetlinkFlag` bits. */
  readonly flags: number
  readonly sequenceNumber: number
}

/** The messages in `length` bytes at `offset`. Ends early at one with an impossible length. */
export function* messages(view: DataView, offset: number, length: number): Generator<Message> {
  const limit = offset + length
  let at = offset
  while (at + HEADER_BYTES <= limit) {
    const size = view.getUint32(at, MACHINE_ORDER)
    if (size < HEADER_BYTES || at + size > limit) return
    yield {
      type: view.getUint16(at + 4, MACHINE_ORDER),
      flags: view.getUint16(at + 6, MACHINE_ORDER),
      sequenceNumber: view.getUint32(at + 8, MACHINE_ORDER),
      offset: at + HEADER_BYTES,
      end: at + size,
    }
    at += align(size)
  }
}

/** The attributes between two offsets, by type; the last one where several have one type. */
export function attributes(view: DataView, offset: number, end: number): Map<number, Range> {
  const found = new Map<number, Range>()
  let at = offset
  while (at + ATTRIBUTE_HEADER_BYTES <= end) {
    const size = view.getUint16(at, MACHINE_ORDER)
    if (size < ATTRIBUTE_HEADER_BYTES || at + size > end) break
    const type = view.getUint16(at + 2, MACHINE_ORDER) & TYPE_MASK
    found.set(type, { offset: at + ATTRIBUTE_HEADER_BYTES, end: at + size })
    at += align(size)
  }
  return found
}

/** The attributes whose types aren't among `known`, copied. */
export function otherAttributes(
  view: DataView,
  found: ReadonlyMap<number, Range>,
  known: ReadonlySet<number>,
): RawAttribute[] {
  const others: RawAttribute[] = []
  for (const [type, range] of found) {
    if (!known.has(type)) others.push({ type, bytes: [...bytesOf(view, range)] })
  }
  return others
}

/** The bytes of a range, without copying. */
export function bytesOf(view: DataView, range: Range): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + range.offset, range.end - range.offset)
}

/** An attribute's 32-bit integer, or undefined if there is none. */
export function uint32Of(view: DataView, range: Range | undefined): number | undefined {
  if (range === undefined || range.end - range.offset < 4) return undefined
  return view.getUint32(range.offset, MACHINE_ORDER)
}

/** An attribute's text, without the zero byte at its end. */
export function textOf(view: DataView, range: Range | undefined): string | undefined {
  if (range === undefined) return undefined
  return new TextDecoder().decode(bytesOf(view, range)).replace(/\0.*$/s, "")
}

/** Writes one message, part by part. Throws `RangeError` when the message outgrows its buffer. */
export class MessageWriter {
  readonly view: DataView
  /** Where the message begins. */
  readonly offset: number
  readonly #bytes: Uint8Array
  readonly #end: number
  #at: number

  constructor(view: DataView, offset: number, capacity: number) {
    this.view = view
    this.offset = offset
    this.#bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
    this.#end = offset + capacity
    this.#at = offset
  }

  /** Begins the message. Its sequence number and length are filled in later. */
  begin(type: number, flags: number): void {
    this.#at = this.offset
    const at = this.#take(HEADER_BYTES)
    this.view.setUint16(at + 4, type, MACHINE_ORDER)
    this.view.setUint16(at + 6, flags, MACHINE_ORDER)
  }

  /** Ends the message. Returns its length in bytes. */
  finish(sequenceNumber: number): number {
    const length = this.#at - this.offset
    this.view.setUint32(this.offset, length, MACHINE_ORDER)
    this.view.setUint32(this.offset + 8, sequenceNumber, MACHINE_ORDER)
    return length
  }

  uint8(...values: number[]): this {
    for (const value of values) this.view.setUint8(this.#take(1), value)
    return this
  }

  uint16(value: number): this {
    this.view.setUint16(this.#take(2), value, MACHINE_ORDER)
    return this
  }

  uint32(value: number): this {
    this.view.setUint32(this.#take(4), value, MACHINE_ORDER)
    return this
  }

  bytes(bytes: Uint8Array): this {
    this.#bytes.set(bytes, this.#take(bytes.length))
    return this
  }

  attributeUint32(type: number, value: number): this {
    return this.attribute(type, () => this.uint32(value))
  }

  attributeBytes(type: number, bytes: Uint8Array): this {
    return this.attribute(type, () => this.bytes(bytes))
  }

  /** Writes attributes as they were received. */
  attributes(others: readonly RawAttribute[] = []): this {
    for (const { type, bytes } of others) this.attributeBytes(type, Uint8Array.from(bytes))
    return this
  }

  /** Writes an attribute whose contents `write` adds. */
  attribute(type: number, write: () => void): this {
    const at = this.#take(ATTRIBUTE_HEADER_BYTES)
    write()
    this.view.setUint16(at, this.#at - at, MACHINE_ORDER)
    this.view.setUint16(at + 2, type, MACHINE_ORDER)
    this.#pad()
    return this
  }

  /** Writes an attribute with attributes in it. */
  nested(type: number, write: () => void): this {
    return this.attribute(type | NESTED, write)
  }

  /** Writes a record that begins with its own length in 16 bits, as `rtnexthop` does. */
  record(write: () => void): this {
    const at = this.#take(2)
    write()
    this.view.setUint16(at, this.#at - at, MACHINE_ORDER)
    this.#pad()
    return this
  }

  #pad(): void {
    while ((this.#at - this.offset) & 3) this.uint8(0)
  }

  /** Reserves zeroed bytes. */
  #take(length: number): number {
    const at = this.#at
    if (at + length > this.#end) throw new RangeError("The netlink message is too long for its buffer")
    this.#bytes.fill(0, at, at + length)
    this.#at = at + length
    return at
  }
}
