/**
 * Arithmetic modulo 2^32 (RFC 9293, section 3.4) in signed 32-bit integers, which V8 keeps as small integers: the
 * difference of two sequence numbers is right as long as they are less than 2^31 apart.
 */

/** Bytes from `earlier` to `later`; negative if it is the other way round. */
export function distance(earlier: number, later: number): number {
  return (later - earlier) | 0
}

/** The sequence number `bytes` further. */
export function advance(sequence: number, bytes: number): number {
  return (sequence + bytes) | 0
}

/** The later of two sequence numbers. */
export function later(a: number, b: number): number {
  return ((a - b) | 0) > 0 ? a : b
}
