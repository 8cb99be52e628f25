/**
 * How large segments to the guest may be where the guest is a router: its side says "too big" about one that doesn't fit the link
 * behind it, since ours may not be fragmented (RFC 1191; RFC 8201). A connection that begins later knows that from the start.
 */
import { type Arena, type GuestError, IPV4_HEADER_LENGTH, IPV6_HEADER_LENGTH } from "@demiflow/core"
import type { TcpConnection } from "./connection.ts"
import { distance } from "./sequence-number.ts"
import { State } from "./state.ts"
import { TCP_HEADER_LENGTH, TCP_SEQUENCE } from "./wire.ts"

/**
 * Whether the segment that an error quotes is under way: only then can it have been too big (RFC 5927, section 7). `again` says
 * that it is about to be sent once more anyway.
 */
export const Quoted = { unknown: 0, again: 1, underWay: 2 } as const
export type QuotedId = (typeof Quoted)[keyof typeof Quoted]

/** What the quoted sequence number says. */
export function quotedIn(arena: Arena, connection: TcpConnection, error: Readonly<GuestError>): QuotedId {
  const { state, ackFromTap, seqToTap, seqToTapHighest } = connection
  if (state <= State.synReceived || state === State.timeWait) return Quoted.unknown
  const sequence = arena.view.getInt32(error.quoteOffset + TCP_SEQUENCE)
  if (distance(ackFromTap, sequence) < 0 || distance(sequence, seqToTapHighest) <= 0) return Quoted.unknown
  return distance(sequence, seqToTap) > 0 ? Quoted.underWay : Quoted.again
}

/** Payload bytes of a segment that fits an IP packet of `mtu` bytes. */
export function mssIn(mtu: number, isV4: boolean): number {
  return mtu - (isV4 ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH) - TCP_HEADER_LENGTH
}
