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
 * Datagrams that a system leaves together at most: Linux has UDP_MAX_SEGMENTS, 128 since 6.10 and 64 before. With more, one frame of
 * a guest's would be 65,507 datagrams.
 */
const MOST_LEFT_TOGETHER = 128

/** The answer of {@link checkDatagram}: nothing is wrong with it. */
export const SOUND = -1

/**
 * Checks what one packet of a sequence says in its UDP header against what is there (RFC 768; RFC 8200, section 8.1).
 * Where an offload left several datagrams together, the length field says nothing: they are cut by the segment size.
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
  if (length < UDP_HEADER_LENGTH || length > available) return reasons.length
  if (sequence.hopLimit[index] === 0) return reasons.hopLimit
  if (view.getUint16(offset + UDP_CHECKSUM) === 0) return sequence.demiflow.isV4 ? SOUND : reasons.noChecksum
  // A link that leaves datagrams together has no complete checksum to verify: it vouches for them.
  if (sequence.checksumTrusted[index] === 1 || isCut) return SOUND
  return transportChecksumIsRight(arena, sequence, index) ? SOUND : reasons.checksum
}

/** Payload bytes of a packet that {@link checkDatagram} found sound. What lies behind them isn't the datagram's. */
export function payloadLength(arena: Arena, sequence: Sequence, index: number): number {
  const offset = sequence.transportOffset[index]
  const length =
    sequence.segmentSize[index] > 0 ? sequence.endOffset[index] - offset : arena.view.getUint16(offset + UDP_LENGTH)
  return length - UDP_HEADER_LENGTH
}
