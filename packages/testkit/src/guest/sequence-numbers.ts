/** Sequence numbers: unsigned 32-bit, compared modulo 2^32 (RFC 9293, section 3.4). */

/** The distance from `second` to `first`; negative if `first` is behind. */
export function distance(first: number, second: number): number {
  return (first - second) | 0
}

/** The number `count` further on. */
export function advance(number: number, count: number): number {
  return (number + count) >>> 0
}
