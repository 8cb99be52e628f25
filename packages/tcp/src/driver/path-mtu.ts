/**
 * The size of segments to a guest that is a router: its side reports "too big" about a segment that doesn't fit the
 * link behind it, since ours may not be fragmented (RFC 1191; RFC 8201). Later connections use the smaller size from
 * the start.
 */
import { type Arena, type GuestError, IPV4_HEADER_LENGTH, IPV6_HEADER_LENGTH } from "@demiflow/core"
import { distance } from "../connection/sequence-number.ts"
import { State } from "../connection/state.ts"
import type { TcpConnection } from "./tcp-connection.ts"
import { TCP_HEADER_LENGTH, TCP_SEQUENCE } from "./wire.ts"

/**
 * State of the segment that an error quotes: only one in flight can have been too big (RFC 5927, section 7). `again`:
 * it is about to be retransmitted anyway.
 */
export const Quoted = { unknown: 0, again: 1, underWay: 2 } as const
export type QuotedId = (typeof Quoted)[keyof typeof Quoted]

/** Returns the state of the segment with the quoted sequence number. */
export function quotedIn(arena: Arena, connection: TcpConnection, error: Readonly<GuestError>): QuotedId {
  const { state } = connection
  const { ackFromGuest, seqToGuest, seqToGuestHighest } = connection.sender
  if (state <= State.synReceived || state === State.timeWait) return Quoted.unknown
  const sequence = arena.view.getInt32(error.quoteOffset + TCP_SEQUENCE)
  if (distance(ackFromGuest, sequence) < 0 || distance(sequence, seqToGuestHighest) <= 0) return Quoted.unknown
  return distance(sequence, seqToGuest) > 0 ? Quoted.underWay : Quoted.again
}

/** Returns the payload bytes of a segment that fits an IP packet of `mtu` bytes. */
export function mssIn(mtu: number, isV4: boolean): number {
  return mtu - (isV4 ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH) - TCP_HEADER_LENGTH
}
