/**
 * How large segments to the guest may be where the guest is a router: its side says "too big" about one that doesn't fit the link
 * behind it, since ours may not be fragmented (RFC 1191; RFC 8201). A connection that begins later knows that from the start.
 */
import { type Arena, type GuestError, IPV4_HEADER_LENGTH, IPV6_HEADER_LENGTH } from "@demiflow/core"
import type { TcpConnection } from "./connection.ts"
import { distance } from "./sequence-number.ts"
import { State } from "./state.ts"
import { TCP_HEADER_LENGTH, TCP_SEQUENCE } from "./wire.ts"

/** True if the segment that an error quotes is under way: only then can it have been too big (RFC 5927, section 7). */
export function isUnderWay(arena: Arena, connection: TcpConnection, error: Readonly<GuestError>): boolean {
  const { state, ackFromTap, seqToTapHighest } = connection
  if (state <= State.synReceived || state === State.timeWait) return false
  const sequence = arena.view.getInt32(error.quoteOffset + TCP_SEQUENCE)
  return distance(ackFromTap, sequence) >= 0 && distance(sequence, seqToTapHighest) > 0
}

/** Payload bytes of a segment that fits an IP packet of `mtu` bytes. */
export function mssIn(mtu: number, isV4: boolean): number {
  return mtu - (isV4 ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH) - TCP_HEADER_LENGTH
}
