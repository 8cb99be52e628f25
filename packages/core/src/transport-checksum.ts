import type { Arena } from "./arena.ts"
import { sumPseudoHeader } from "./checksum.ts"
import type { Sequence } from "./sequence.ts"
import { IpProtocol } from "./wire/ip.ts"
import { UDP_CHECKSUM, UDP_HEADER_LENGTH, UDP_LENGTH } from "./wire/udp.ts"

const SUM_OF_A_RIGHT_PACKET = 0xffff

/**
 * Verifies the transport checksum of packet `index` of a sequence from the guest. Handlers call it for packets whose
 * {@link Sequence.checksumTrusted} is 0, once these are known to be long enough for their header.
 *
 * ICMP over IPv4 has no pseudo-header (RFC 792); TCP, UDP, ICMPv6 and every other protocol have one. UDP without a
 * checksum is valid over IPv4 (RFC 768) and invalid over IPv6 (RFC 8200, section 8.1); its checksum covers the bytes
 * that its length field counts. The pseudo-header is a sum, and so the same for a packet from the correspondent as for
 * one to it.
 */
export function transportChecksumIsRight(arena: Arena, sequence: Sequence, index: number): boolean {
  const { demiflow, protocol } = sequence
  const offset = sequence.transportOffset[index]
  let length = sequence.endOffset[index] - offset
  if (protocol === IpProtocol.icmp && demiflow.isV4) return arena.sum(offset, length, 0) === SUM_OF_A_RIGHT_PACKET
  if (protocol === IpProtocol.udp) {
    if (length < UDP_HEADER_LENGTH) return false
    const claimed = arena.view.getUint16(offset + UDP_LENGTH)
    if (claimed < UDP_HEADER_LENGTH || claimed > length) return false
    length = claimed
    if (arena.view.getUint16(offset + UDP_CHECKSUM) === 0) return demiflow.isV4
  }
  return arena.sum(offset, length, sumPseudoHeader(demiflow, protocol, length)) === SUM_OF_A_RIGHT_PACKET
}
