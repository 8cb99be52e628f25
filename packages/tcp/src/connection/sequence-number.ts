/**
 * Arithmetic modulo 2^32 (RFC 9293, section 3.4) in signed 32-bit integers, which V8 keeps as small integers: the
 * difference of two sequence numbers is right as long as they are less than 2^31 apart.
 */

/** Returns the bytes from `earlier` to `later`; negative if `later` is the earlier one. */
export function distance(earlier: number, later: number): number {
  return (later - earlier) | 0
}

/** Returns the sequence number `bytes` further on. */
export function advance(sequence: number, bytes: number): number {
  return (sequence + bytes) | 0
}

/** Returns the later of two sequence numbers. */
export function later(a: number, b: number): number {
  return ((a - b) | 0) > 0 ? a : b
}
