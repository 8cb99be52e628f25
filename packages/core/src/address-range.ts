/**
 * Ranges of addresses as prefixes: `10.0.0.0/8`, `2001:db8::/32` (RFC 4632, section 3.1; RFC 4291, section 2.3).
 *
 * A range belongs to one family, as an address does: `::/0` contains every IPv6 address and no IPv4 address. An
 * IPv4-mapped range, `::ffff:10.0.0.0/104`, is the range of IPv4 addresses.
 */
import { Address } from "./address.ts"

const MAPPED_PREFIX_LENGTH = 96

/** A prefix of addresses. Immutable. */
export class AddressRange {
  /** The first address of the range: all bits beyond the prefix are 0. Never fill it. */
  readonly network: Readonly<Address>
  /** 0–32 for IPv4, 0–128 for IPv6. */
  readonly prefixLength: number

  /**
   * The range that an address is in. Bits of the address beyond the prefix don't matter. Throws `RangeError` for a
   * prefix length that the family doesn't have.
   */
  constructor(address: Readonly<Address>, prefixLength: number) {
    const most = address.isV4 ? 32 : 128
    if (!Number.isInteger(prefixLength) || prefixLength < 0 || prefixLength > most) {
      throw new RangeError(`The prefix of ${address} has 0 to ${most} bits, not ${prefixLength}`)
    }
    const kept = address.isV4 ? prefixLength + MAPPED_PREFIX_LENGTH : prefixLength
    const { word0, word1, word2, word3 } = address
    this.network = new Address(
      word0 & maskOfWord(kept),
      word1 & maskOfWord(kept - 32),
      word2 & maskOfWord(kept - 64),
      word3 & maskOfWord(kept - 96),
    )
    this.prefixLength = prefixLength
  }

  get isV4(): boolean {
    return this.network.isV4
  }

  /** Returns the last address of the range. */
  get last(): Address {
    const kept = this.isV4 ? this.prefixLength + MAPPED_PREFIX_LENGTH : this.prefixLength
    const { word0, word1, word2, word3 } = this.network
    return new Address(
      word0 | ~maskOfWord(kept),
      word1 | ~maskOfWord(kept - 32),
      word2 | ~maskOfWord(kept - 64),
      word3 | ~maskOfWord(kept - 96),
    )
  }

  /** True if the address is in the range. Allocates nothing. */
  contains(address: Readonly<Address>): boolean {
    return this.network.sharesPrefix(address, this.prefixLength)
  }

  /** True if every address of the other range is in this one. */
  containsRange(other: AddressRange): boolean {
    return other.prefixLength >= this.prefixLength && this.contains(other.network)
  }

  equals(other: AddressRange): boolean {
    return this.prefixLength === other.prefixLength && this.network.equals(other.network)
  }

  /** Returns the usual text, such as `10.0.0.0/8`; for a single address as well, `192.0.2.1/32`. */
  toString(): string {
    return `${this.network}/${this.prefixLength}`
  }

  /**
   * Parses a prefix, or an address, which is a range of one. Throws `RangeError`, with what to write instead, if the
   * text is neither, or if the address has bits beyond the prefix.
   */
  static parse(text: string): AddressRange {
    const [before, after, ...more] = text.split("/")
    const written = Address.tryParse(before)
    if (written === undefined || more.length > 0) throw refusal(text, 'write an address, or a prefix: "10.0.0.0/8"')
    const most = before.includes(":") ? 128 : 32
    if (after === undefined) return new AddressRange(written, written.isV4 ? 32 : 128)
    const length = /^(0|[1-9]\d{0,2})$/.test(after) ? Number(after) : Number.NaN
    if (!(length <= most)) throw refusal(text, `the number of bits is between 0 and ${most}`)
    const isMapped = most === 128 && written.isV4
    if (isMapped && length < MAPPED_PREFIX_LENGTH) {
      throw refusal(text, `an IPv4-mapped prefix has at least ${MAPPED_PREFIX_LENGTH} bits`)
    }
    const range = new AddressRange(written, isMapped ? length - MAPPED_PREFIX_LENGTH : length)
    if (!range.network.equals(written)) throw refusal(text, `its address has bits beyond the prefix: write "${range}"`)
    return range
  }

  /** Parses a prefix or an address as {@link AddressRange.parse} does, or returns undefined. */
  static tryParse(text: string): AddressRange | undefined {
    try {
      return AddressRange.parse(text)
    } catch {
      return undefined
    }
  }
}

function refusal(text: string, remedy: string): RangeError {
  return new RangeError(`"${text}" is not a range of addresses: ${remedy}`)
}

/**
 * The mask of a word of which the first `kept` bits are in the prefix; fewer than 0 or more than 32 mean none or all.
 */
function maskOfWord(kept: number): number {
  if (kept <= 0) return 0
  return kept >= 32 ? -1 : -1 << (32 - kept)
}
