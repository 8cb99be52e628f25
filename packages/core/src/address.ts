/**
 * IP addresses as values of four 32-bit words.
 *
 * IPv4 and IPv6 share one type, so that flows, hashes and the forwarding policy have one path: an IPv4 address is kept
 * in its IPv4-mapped form, `::ffff:a.b.c.d` (RFC 4291, section 2.5.5.2). Words are signed 32-bit integers, the most
 * significant first: V8 handles them without allocating, and comparing two addresses takes four integer comparisons.
 */

const MAPPED_PREFIX_WORD = 0x0000ffff

/** An IP address, IPv4 or IPv6. Mutable, so that one scratch instance can be filled again for each packet. */
export class Address {
  /** Most significant 32 bits, as a signed integer. */
  word0: number
  word1: number
  word2: number
  /** Least significant 32 bits; the whole address for IPv4. */
  word3: number

  constructor(word0 = 0, word1 = 0, word2 = 0, word3 = 0) {
    this.word0 = word0 | 0
    this.word1 = word1 | 0
    this.word2 = word2 | 0
    this.word3 = word3 | 0
  }

  /** The IPv4 address with this 32-bit value (host byte order, so 127.0.0.1 is 0x7f000001). */
  static fromV4(value: number): Address {
    return new Address(0, 0, MAPPED_PREFIX_WORD, value)
  }

  /** The address in 4 or 16 bytes, in network order. Throws `RangeError` for another length. */
  static fromBytes(bytes: ArrayLike<number>): Address {
    if (bytes.length === 4) return Address.fromV4(wordAt(bytes, 0))
    if (bytes.length !== 16) throw new RangeError(`An address has 4 or 16 bytes, not ${bytes.length}`)
    return new Address(wordAt(bytes, 0), wordAt(bytes, 4), wordAt(bytes, 8), wordAt(bytes, 12))
  }

  /** True for an IPv4 address. */
  get isV4(): boolean {
    return this.word2 === MAPPED_PREFIX_WORD && this.word1 === 0 && this.word0 === 0
  }

  /** True for 0.0.0.0 (RFC 1122, section 3.2.1.3) and for `::` (RFC 4291, section 2.5.2). */
  get isUnspecified(): boolean {
    if (this.word3 !== 0 || this.word1 !== 0 || this.word0 !== 0) return false
    return this.word2 === 0 || this.word2 === MAPPED_PREFIX_WORD
  }

  /** True for 127.0.0.0/8 (RFC 1122, section 3.2.1.3) and `::1` (RFC 4291, section 2.5.3). */
  get isLoopback(): boolean {
    if (this.isV4) return this.word3 >>> 24 === 127
    return this.word3 === 1 && this.word2 === 0 && this.word1 === 0 && this.word0 === 0
  }

  /** True for 224.0.0.0/4 (RFC 5771) and ff00::/8 (RFC 4291, section 2.7). */
  get isMulticast(): boolean {
    if (this.isV4) return this.word3 >>> 28 === 14
    return this.word0 >>> 24 === 0xff
  }

  /** True for 169.254.0.0/16 (RFC 3927) and fe80::/10 (RFC 4291, section 2.5.6). */
  get isLinkLocal(): boolean {
    if (this.isV4) return this.word3 >>> 16 === 0xa9fe
    return this.word0 >>> 22 === 0x3fa
  }

  /** True for private addresses: 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 (RFC 1918) and fc00::/7 (RFC 4193). */
  get isPrivate(): boolean {
    if (!this.isV4) return this.word0 >>> 25 === 0x7e
    return this.word3 >>> 24 === 10 || this.word3 >>> 20 === 0xac1 || this.word3 >>> 16 === 0xc0a8
  }

  /** True for 100.64.0.0/10, which providers share among their customers (RFC 6598). */
  get isShared(): boolean {
    return this.isV4 && this.word3 >>> 22 === 0x191
  }

  /**
   * True for addresses of examples: 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24 (RFC 5737), 2001:db8::/32 (RFC 3849)
   * and 3fff::/20 (RFC 9637).
   */
  get isDocumentation(): boolean {
    if (!this.isV4) return this.word0 === 0x20010db8 || this.word0 >>> 12 === 0x3fff0
    const network = this.word3 >>> 8
    return network === 0xc00002 || network === 0xc63364 || network === 0xcb0071
  }

  /** True for 255.255.255.255. A subnet's directed broadcast is unknown without its prefix length. */
  get isLimitedBroadcast(): boolean {
    return this.isV4 && this.word3 === -1
  }

  /**
   * True for an address that one host can have: neither unspecified, multicast nor limited broadcast. Loopback and
   * link-local addresses are unicast.
   */
  get isUnicast(): boolean {
    return !this.isUnspecified && !this.isMulticast && !this.isLimitedBroadcast
  }

  /** True if both are the same address of the same family. */
  equals(other: Address): boolean {
    return (
      this.word3 === other.word3 &&
      this.word2 === other.word2 &&
      this.word1 === other.word1 &&
      this.word0 === other.word0
    )
  }

  /** Copies another address's value; returns itself. */
  copyFrom(other: Address): this {
    this.word0 = other.word0
    this.word1 = other.word1
    this.word2 = other.word2
    this.word3 = other.word3
    return this
  }

  /** Reads the IPv4 address in four bytes, network order, at `offset`; returns itself. */
  readV4(view: DataView, offset: number): this {
    this.word0 = 0
    this.word1 = 0
    this.word2 = MAPPED_PREFIX_WORD
    this.word3 = view.getInt32(offset)
    return this
  }

  /** Reads the IPv6 address in sixteen bytes, network order, at `offset`; returns itself. */
  readV6(view: DataView, offset: number): this {
    this.word0 = view.getInt32(offset)
    this.word1 = view.getInt32(offset + 4)
    this.word2 = view.getInt32(offset + 8)
    this.word3 = view.getInt32(offset + 12)
    return this
  }

  /** Writes the last four bytes, that is, an IPv4 address, in network order at `offset`. */
  writeV4(view: DataView, offset: number): void {
    view.setInt32(offset, this.word3)
  }

  /** Writes all sixteen bytes in network order at `offset`. */
  writeV6(view: DataView, offset: number): void {
    view.setInt32(offset, this.word0)
    view.setInt32(offset + 4, this.word1)
    view.setInt32(offset + 8, this.word2)
    view.setInt32(offset + 12, this.word3)
  }

  /** The bytes in network order: 4 for IPv4, 16 for IPv6. */
  toBytes(): Uint8Array {
    const bytes = new Uint8Array(this.isV4 ? 4 : 16)
    const view = new DataView(bytes.buffer)
    if (this.isV4) this.writeV4(view, 0)
    else this.writeV6(view, 0)
    return bytes
  }

  /** Returns an independent copy. */
  clone(): Address {
    return new Address(this.word0, this.word1, this.word2, this.word3)
  }

  /** True if both are of one family and agree in the first `prefixLength` bits (0–32 for IPv4, 0–128 for IPv6). */
  sharesPrefix(other: Address, prefixLength: number): boolean {
    if (this.isV4 !== other.isV4) return false
    if (this.isV4) return sharesBits(this.word3, other.word3, prefixLength)
    return (
      sharesBits(this.word0, other.word0, prefixLength) &&
      sharesBits(this.word1, other.word1, prefixLength - 32) &&
      sharesBits(this.word2, other.word2, prefixLength - 64) &&
      sharesBits(this.word3, other.word3, prefixLength - 96)
    )
  }

  /** Returns the usual text: dotted quad, or RFC 5952 form for IPv6. */
  toString(): string {
    return this.isV4 ? formatV4(this.word3) : formatV6(this)
  }

  /** Parses an address. Throws `RangeError` if the text isn't one; see {@link Address.tryParse}. */
  static parse(text: string): Address {
    const address = Address.tryParse(text)
    if (address === undefined) throw new RangeError(`"${text}" is not an IP address`)
    return address
  }

  /** Parses an address, or returns undefined. Accepts dotted quads of four decimal parts and RFC 4291 text; no zone. */
  static tryParse(text: string): Address | undefined {
    if (!text.includes(":")) {
      const value = parseV4(text)
      return value === undefined ? undefined : Address.fromV4(value)
    }
    return parseV6(text)
  }
}

/** 0.0.0.0. A shared constant: never pass it to something that fills addresses. */
export const UNSPECIFIED_V4: Readonly<Address> = Object.freeze(Address.fromV4(0))
/** `::`. A shared constant. */
export const UNSPECIFIED_V6: Readonly<Address> = Object.freeze(new Address())
/** 127.0.0.1. A shared constant. */
export const LOOPBACK_V4: Readonly<Address> = Object.freeze(Address.fromV4(0x7f000001))
/** `::1`. A shared constant. */
export const LOOPBACK_V6: Readonly<Address> = Object.freeze(new Address(0, 0, 0, 1))

function wordAt(bytes: ArrayLike<number>, index: number): number {
  return (bytes[index] << 24) | (bytes[index + 1] << 16) | (bytes[index + 2] << 8) | bytes[index + 3]
}

function sharesBits(a: number, b: number, count: number): boolean {
  if (count <= 0) return true
  if (count >= 32) return a === b
  return (a ^ b) >>> (32 - count) === 0
}

function formatV4(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`
}

function formatV6(address: Address): string {
  const words = [address.word0, address.word1, address.word2, address.word3]
  const groups = words.flatMap((word) => [word >>> 16, word & 0xffff])
  const gap = longestZeroRun(groups)
  if (gap === undefined) return groups.map((group) => group.toString(16)).join(":")
  const before = groups.slice(0, gap.start).map((group) => group.toString(16))
  const after = groups.slice(gap.start + gap.length).map((group) => group.toString(16))
  return `${before.join(":")}::${after.join(":")}`
}

/** Finds the run that `::` stands for: the first longest one of at least two zero groups (RFC 5952, section 4.2). */
function longestZeroRun(groups: readonly number[]): { start: number; length: number } | undefined {
  let best: { start: number; length: number } | undefined
  for (let start = 0; start < groups.length; start++) {
    let length = 0
    while (start + length < groups.length && groups[start + length] === 0) length++
    if (length >= 2 && length > (best?.length ?? 0)) best = { start, length }
  }
  return best
}

function parseV4(text: string): number | undefined {
  const parts = text.split(".")
  if (parts.length !== 4) return undefined
  let value = 0
  for (const part of parts) {
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined
    value = (value << 8) | Number(part)
  }
  return value
}

function parseV6(text: string): Address | undefined {
  const halves = text.split("::")
  if (halves.length > 2) return undefined
  const head = parseGroups(halves[0], halves.length === 1)
  const tail = halves.length === 2 ? parseGroups(halves[1], true) : []
  if (head === undefined || tail === undefined) return undefined
  const missing = 8 - head.length - tail.length
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail]
  const word = (index: number) => (groups[index * 2] << 16) | groups[index * 2 + 1]
  return new Address(word(0), word(1), word(2), word(3))
}

function parseGroups(text: string, mayEndInV4: boolean): number[] | undefined {
  if (text === "") return []
  const groups: number[] = []
  const parts = text.split(":")
  for (const [index, part] of parts.entries()) {
    if (part.includes(".") && mayEndInV4 && index === parts.length - 1) {
      const value = parseV4(part)
      if (value === undefined) return undefined
      groups.push(value >>> 16, value & 0xffff)
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      groups.push(Number.parseInt(part, 16))
    } else return undefined
  }
  return groups
}
