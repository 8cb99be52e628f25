/**
 * How large segments to the guest may be where the guest is a router: its side says "too big" about one that doesn't fit the link
 * behind it, since ours may not be fragmented (RFC 1191; RFC 8201).
 */
import { type Arena, type GuestError, IPV4_HEADER_LENGTH, IPV6_HEADER_LENGTH } from "@demiflow/core"
import type { TcpConnection } from "./connection.ts"
import { distance } from "./sequence-number.ts"
import { State } from "./state.ts"
import { TCP_HEADER_LENGTH, TCP_SEQUENCE } from "./wire.ts"

/** The smallest that links have (RFC 1191, section 7): less is not meant well, and would make many packets of little. */
const SMALLEST_MTU_V4 = 296
/** RFC 8200, section 5. */
const SMALLEST_MTU_V6 = 1280

/**
 * Payload bytes of a segment after the error; 0 if nothing changes: only a segment that is under way can have been too big
 * (RFC 5927, section 7), and only for less than it may have now.
 */
export function mssAfter(arena: Arena, connection: TcpConnection, error: Readonly<GuestError>): number {
  const { state, ackFromTap, seqToTapHighest, mssToTap, tapSide } = connection
  if (error.mtu === 0 || state <= State.synReceived || state === State.timeWait) return 0
  const sequence = arena.view.getInt32(error.quoteOffset + TCP_SEQUENCE)
  if (distance(ackFromTap, sequence) < 0 || distance(sequence, seqToTapHighest) <= 0) return 0
  const { isV4 } = tapSide
  const mtu = Math.max(error.mtu, isV4 ? SMALLEST_MTU_V4 : SMALLEST_MTU_V6)
  const mss = mtu - (isV4 ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH) - TCP_HEADER_LENGTH
  return mss < mssToTap ? mss : 0
}
