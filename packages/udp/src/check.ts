import {
  type Arena,
  type DropReason,
  type Sequence,
  transportChecksumIsRight,
  UDP_CHECKSUM,
  UDP_HEADER_LENGTH,
  UDP_LENGTH,
} from "@demiflow/core"
import type { UdpReasons } from "./reasons.ts"

/**
 * Maximum number of datagrams that a system coalesces: Linux has UDP_MAX_SEGMENTS, 128 since 6.10 and 64 before.
 * Without a limit, one frame of the guest could hold 65,507 datagrams.
 */
const MOST_LEFT_TOGETHER = 128

/** Returned by {@link checkDatagram} for a packet with no problem. */
export const SOUND = -1

/**
 * Checks the UDP header of one packet of a sequence against the packet (RFC 768; RFC 8200, section 8.1). If an offload
 * has coalesced several datagrams, the length field means nothing: the segment size delimits them.
 */
export function checkDatagram(
  arena: Arena,
  sequence: Sequence,
  index: number,
  reasons: UdpReasons,
): DropReason | typeof SOUND {
  const view = arena.view
  const offset = sequence.transportOffset[index]
  const available = sequence.endOffset[index] - offset
  if (available < UDP_HEADER_LENGTH) return reasons.truncated
  const segmentSize = sequence.segmentSize[index]
  const isCut = segmentSize > 0
  if (isCut && available - UDP_HEADER_LENGTH > segmentSize * MOST_LEFT_TOGETHER) return reasons.tooMany
  const length = isCut ? available : view.getUint16(offset + UDP_LENGTH)
  // RFC 768 fields (length) MUST: the length covers the header, and no more than has arrived
  if (length < UDP_HEADER_LENGTH || length > available) return reasons.length
  if (sequence.hopLimit[index] === 0) return reasons.hopLimit
  // RFC 8200 8.1 MUST: a datagram without a checksum is discarded over IPv6
  // RFC 1122 4.1.3.4 (none) MAY: over IPv4 it is passed on
  if (view.getUint16(offset + UDP_CHECKSUM) === 0) return sequence.demiflow.isV4 ? SOUND : reasons.noChecksum
  // Coalesced datagrams have no complete checksum to verify: the link vouches for them.
  if (sequence.checksumTrusted[index] === 1 || isCut) return SOUND
  // RFC 1122 4.1.3.4 MUST: a datagram whose checksum is wrong is discarded in silence
  return transportChecksumIsRight(arena, sequence, index) ? SOUND : reasons.checksum
}

/**
 * Returns the payload bytes of a packet that {@link checkDatagram} found sound. Bytes behind the payload are padding.
 */
export function payloadLength(arena: Arena, sequence: Sequence, index: number): number {
  const offset = sequence.transportOffset[index]
  const length =
    sequence.segmentSize[index] > 0 ? sequence.endOffset[index] - offset : arena.view.getUint16(offset + UDP_LENGTH)
  return length - UDP_HEADER_LENGTH
}
