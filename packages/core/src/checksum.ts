/**
 * The Internet checksum (RFC 1071) and the pseudo-headers of IPv4 (RFC 9293, section 3.1) and IPv6 (RFC 8200,
 * section 8.1).
 *
 * Partial sums are 16-bit, folded and not complemented, of words read in network order. No precomputed sum includes a
 * destination address: addresses are folded in for each packet.
 */
import type { Demiflow } from "./demiflow.ts"

/** Folds a sum of up to 32 bits to 16 bits. */
export function foldSum(sum: number): number {
  const once = (sum & 0xffff) + (sum >>> 16)
  return (once & 0xffff) + (once >>> 16)
}

/** Adds two folded sums. */
export function addSums(first: number, second: number): number {
  const sum = first + second
  return (sum & 0xffff) + (sum >>> 16)
}

/** Turns a folded sum into the value of a header's checksum field. */
export function finishChecksum(sum: number): number {
  return ~sum & 0xffff
}

/** The UDP form of {@link finishChecksum}: 0 means "no checksum" there, so a sum of 0 is sent as 0xffff (RFC 768). */
export function finishUdpChecksum(sum: number): number {
  return ~sum & 0xffff || 0xffff
}

/**
 * Adds `length` bytes (up to 8 MiB) at `offset` to a folded sum; an odd last byte counts as the high half of a word.
 *
 * Adds 32-bit words, four at a time: their sum stays exact in a double, and is congruent to that of the 16-bit words.
 */
export function sumBytes(view: DataView, offset: number, length: number, initial: number): number {
  let sum = initial
  let position = offset
  const whole = offset + (length & ~15)
  for (; position < whole; position += 16) {
    sum += view.getUint32(position) + view.getUint32(position + 4)
    sum += view.getUint32(position + 8) + view.getUint32(position + 12)
  }
  let remaining = length & 15
  for (; remaining >= 2; remaining -= 2, position += 2) sum += view.getUint16(position)
  if (remaining === 1) sum += view.getUint8(position) << 8
  const high = Math.floor(sum / 0x1_0000_0000)
  return foldSum(foldSum(sum - high * 0x1_0000_0000) + high)
}

/**
 * Returns the folded sum of the pseudo-header of a packet to the correspondent: forwarding address as source,
 * correspondent address as destination.
 *
 * @param length of the transport header and its payload, bytes
 */
export function sumPseudoHeader(demiflow: Demiflow, protocol: number, length: number): number {
  const from = demiflow.forwardingAddress
  const to = demiflow.correspondentAddress
  let sum = protocol + (length >>> 16) + (length & 0xffff)
  sum += (from.word3 >>> 16) + (from.word3 & 0xffff) + (to.word3 >>> 16) + (to.word3 & 0xffff)
  if (!to.isV4) {
    sum += (from.word0 >>> 16) + (from.word0 & 0xffff) + (from.word1 >>> 16) + (from.word1 & 0xffff)
    sum += (from.word2 >>> 16) + (from.word2 & 0xffff)
    sum += (to.word0 >>> 16) + (to.word0 & 0xffff) + (to.word1 >>> 16) + (to.word1 & 0xffff)
    sum += (to.word2 >>> 16) + (to.word2 & 0xffff)
  }
  return foldSum(sum)
}
