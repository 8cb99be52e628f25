/**
 * Sets of ranges of addresses, for policies: a lookup costs the logarithm of their number, and allocates nothing.
 *
 * Prefixes are disjoint or one contains the other. Without those that others contain, at most one of the set contains
 * an address: the last one that doesn't begin behind it. Bounds are kept with the highest bit of each word inverted,
 * so that signed comparisons order them as unsigned numbers.
 */
import type { Address } from "./address.ts"
import { AddressRange } from "./address-range.ts"

const HIGHEST_BIT = 0x8000_0000 | 0
/** Words of an IPv6 range: four of the first address, four of the last. */
const WORDS = 8

/** A set of ranges. Immutable. */
export class AddressRangeSet {
  /** The ranges, IPv4 first, each family in ascending order, without those that others contain. */
  readonly ranges: readonly AddressRange[]
  readonly #firstV4: Int32Array
  readonly #lastV4: Int32Array
  readonly #boundsV6: Int32Array

  /** Takes ranges, or texts as {@link AddressRange.parse} does, and throws `RangeError` as it does. */
  constructor(ranges: Iterable<AddressRange | string>) {
    const parsed = Array.from(ranges, (range) => (typeof range === "string" ? AddressRange.parse(range) : range))
    const kept: AddressRange[] = []
    for (const range of parsed.sort(compareRanges)) {
      if (kept.at(-1)?.containsRange(range) !== true) kept.push(range)
    }
    const v4 = kept.filter(({ isV4 }) => isV4)
    this.ranges = kept
    this.#firstV4 = Int32Array.from(v4, ({ network }) => network.word3 ^ HIGHEST_BIT)
    this.#lastV4 = Int32Array.from(v4, ({ last }) => last.word3 ^ HIGHEST_BIT)
    this.#boundsV6 = Int32Array.from(
      kept.slice(v4.length).flatMap(({ network, last }) => [...orderedWords(network), ...orderedWords(last)]),
    )
  }

  /** Ranges in the set, without those that others contain. */
  get size(): number {
    return this.ranges.length
  }

  /** True if a range of the set contains the address. Allocates nothing. */
  contains(address: Readonly<Address>): boolean {
    return address.isV4 ? this.#containsV4(address.word3 ^ HIGHEST_BIT) : this.#containsV6(address)
  }

  #containsV4(value: number): boolean {
    let low = 0
    let high = this.#firstV4.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#firstV4[middle] <= value) low = middle + 1
      else high = middle
    }
    return low > 0 && value <= this.#lastV4[low - 1]
  }

  #containsV6(address: Readonly<Address>): boolean {
    let low = 0
    let high = this.#boundsV6.length / WORDS
    while (low < high) {
      const middle = (low + high) >> 1
      if (compareWithBound(address, this.#boundsV6, middle * WORDS) >= 0) low = middle + 1
      else high = middle
    }
    return low > 0 && compareWithBound(address, this.#boundsV6, low * WORDS - WORDS / 2) <= 0
  }
}

/** Negative, 0 or positive, as the address is before, at or behind the four words of a bound. */
function compareWithBound(address: Readonly<Address>, bounds: Int32Array, index: number): number {
  const word0 = address.word0 ^ HIGHEST_BIT
  if (word0 !== bounds[index]) return word0 < bounds[index] ? -1 : 1
  const word1 = address.word1 ^ HIGHEST_BIT
  if (word1 !== bounds[index + 1]) return word1 < bounds[index + 1] ? -1 : 1
  const word2 = address.word2 ^ HIGHEST_BIT
  if (word2 !== bounds[index + 2]) return word2 < bounds[index + 2] ? -1 : 1
  const word3 = address.word3 ^ HIGHEST_BIT
  if (word3 !== bounds[index + 3]) return word3 < bounds[index + 3] ? -1 : 1
  return 0
}

function orderedWords({ word0, word1, word2, word3 }: Readonly<Address>): number[] {
  return [word0, word1, word2, word3].map((word) => word ^ HIGHEST_BIT)
}

/** IPv4 first; by the first address; a range before those that it contains. */
function compareRanges(one: AddressRange, other: AddressRange): number {
  if (one.isV4 !== other.isV4) return one.isV4 ? -1 : 1
  const bound = Int32Array.from(orderedWords(other.network))
  return compareWithBound(one.network, bound, 0) || one.prefixLength - other.prefixLength
}

/**
 * Addresses that don't lead to a host of the public internet: those of the registries of special-purpose addresses that
 * aren't globally reachable (RFC 6890), multicast groups, what is reserved (RFC 1112, section 4), and IPv6 addresses
 * that carry an IPv4 address by a method that is no longer in use.
 *
 * 64:ff9b::/96 (RFC 6052) isn't among them: hosts without IPv4 reach the public internet by it. Where a translator of a
 * network also reaches private addresses, a policy has to exclude that range itself.
 */
export const NON_PUBLIC_ADDRESSES: AddressRangeSet = /* @__PURE__ */ new AddressRangeSet([
  "0.0.0.0/8", // this network, RFC 791, section 3.2
  "10.0.0.0/8", // private, RFC 1918
  "100.64.0.0/10", // shared, RFC 6598
  "127.0.0.0/8", // loopback, RFC 1122, section 3.2.1.3
  "169.254.0.0/16", // link-local, RFC 3927
  "172.16.0.0/12", // private, RFC 1918
  "192.0.0.0/24", // protocol assignments, RFC 6890, section 2.1
  "192.0.2.0/24", // documentation, RFC 5737
  "192.88.99.0/24", // the former 6to4 relays, RFC 7526
  "192.168.0.0/16", // private, RFC 1918
  "198.18.0.0/15", // measurements, RFC 2544
  "198.51.100.0/24", // documentation, RFC 5737
  "203.0.113.0/24", // documentation, RFC 5737
  "224.0.0.0/4", // multicast, RFC 5771
  "240.0.0.0/4", // reserved, RFC 1112, section 4; limited broadcast, RFC 8190
  "::/96", // unspecified, loopback, and with an IPv4 address, RFC 4291, sections 2.5.2, 2.5.3 and 2.5.5.1
  "64:ff9b:1::/48", // translation within a network, RFC 8215
  "100::/64", // discarded, RFC 6666
  "100:0:0:1::/64", // a dummy, RFC 9780
  "2001::/23", // protocol assignments, RFC 2928; Teredo, RFC 4380; measurements, RFC 5180
  "2001:db8::/32", // documentation, RFC 3849
  "2002::/16", // 6to4, RFC 3056 and RFC 7526
  "3fff::/20", // documentation, RFC 9637
  "5f00::/16", // segment routing, RFC 9602
  "fc00::/7", // unique local, RFC 4193
  "fe80::/10", // link-local, RFC 4291, section 2.5.6
  "fec0::/10", // the former site-local, RFC 3879
  "ff00::/8", // multicast, RFC 4291, section 2.7
])
