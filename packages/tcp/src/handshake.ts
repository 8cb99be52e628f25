/** What both ways of beginning a connection have in common: the numbers of either end's SYN, and what the guest's says. */
import { type Components, IPV4_HEADER_LENGTH, IPV6_HEADER_LENGTH } from "@demiflow/core"
import type { TcpConnection } from "./connection.ts"
import { mssIn } from "./path-mtu.ts"
import type { Segment } from "./segment.ts"
import { DEFAULT_MSS_V4, DEFAULT_MSS_V6, readSynOptions, type SynOptions, TCP_HEADER_LENGTH } from "./wire.ts"

/** Window of our SYN: the largest that can't be scaled. */
export const INITIAL_WINDOW = 0xffff
/** Shift of the windows we advertise: up to 16 MiB, in steps of 256 bytes. */
export const OWN_WINDOW_SCALE = 8
/** Smallest segment that we cut to, whatever a guest asks for (as Linux' TCP_MIN_SND_MSS). */
const MINIMUM_MSS = 48

const scratch: SynOptions = { maximumSegmentSize: 0, windowScale: -1 }

/** Sets where our numbers begin. */
export function beginNumbers(connection: TcpConnection, initial: number): void {
  connection.initialToTap = initial
  connection.seqToTap = initial
  connection.seqToTapHighest = initial
  connection.ackFromTap = initial
}

/** Sets what follows from the guest's SYN: where its numbers begin, its window, and its options. */
export function takeSyn({ arena, guest }: Components, connection: TcpConnection, segment: Segment): void {
  connection.initialFromTap = segment.sequence
  connection.seqFromTap = (segment.sequence + 1) | 0
  connection.ackToTap = connection.seqFromTap
  connection.windowToTap = INITIAL_WINDOW
  connection.windowEdgeToTap = (connection.seqFromTap + INITIAL_WINDOW) | 0
  // Not scaled in a SYN (RFC 7323, section 2.2).
  connection.windowFromTap = segment.window
  connection.largestWindowFromTap = segment.window
  connection.windowSeqFromTap = segment.sequence

  readSynOptions(arena.view, segment.headerOffset + TCP_HEADER_LENGTH, segment.payloadOffset, scratch)
  const isScaling = scratch.windowScale >= 0
  connection.windowScaleFromTap = isScaling ? scratch.windowScale : 0
  connection.windowScaleToTap = isScaling ? OWN_WINDOW_SCALE : 0
  const { correspondentAddress, isV4 } = connection.tapSide
  const asked = scratch.maximumSegmentSize || (isV4 ? DEFAULT_MSS_V4 : DEFAULT_MSS_V6)
  // It is what the interface's MTU leaves (RFC 9293, section 3.7.1; RFC 6691, section 2).
  guest.noticeMtu?.(isV4, asked + (isV4 ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH) + TCP_HEADER_LENGTH)
  const fitting = mssIn(guest.pathMtu?.(correspondentAddress) ?? guest.mtu, isV4)
  connection.mssToTap = Math.max(Math.min(asked, fitting), MINIMUM_MSS)
}
