/** Sequence numbers: unsigned 32-bit, compared modulo 2^32 (RFC 9293, section 3.4). */

/** How far `first` is ahead of `second`; negative if it is behind. */
export function distance(first: number, second: number): number {
  return (first - second) | 0
}

/** The number `count` further on. */
export function advance(number: number, count: number): number {
  return (number + count) >>> 0
}
