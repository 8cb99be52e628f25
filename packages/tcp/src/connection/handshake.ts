/** The common part of both ways to begin a connection: what follows from the guest's SYN. */
import type { Connection } from "./connection.ts"
import type { Segment } from "./segment.ts"

/** Shift of the windows we advertise: up to 16 MiB, in steps of 256 bytes. */
export const OWN_WINDOW_SCALE = 8
/** RFC 9293, section 3.7.1: the MSS of a SYN without that option. */
export const DEFAULT_MSS_V4 = 536
export const DEFAULT_MSS_V6 = 1220
/** Smallest segment that we split to, whatever a guest requests (as Linux' TCP_MIN_SND_MSS). */
const MINIMUM_MSS = 48

/** The options of a SYN that we use. */
export interface SynOptions {
  /** Payload bytes of a segment; 0 if not given. */
  maximumSegmentSize: number
  /** Shift of later windows, 0–14; -1 if not given. */
  windowScale: number
}

/** Returns the MSS that a SYN asks for, bytes. */
export function askedMss({ maximumSegmentSize }: SynOptions, isV4: boolean): number {
  // RFC 9293 3.7.1 MUST: without the option, segments have at most 536 bytes over IPv4, 1220 over IPv6.
  return maximumSegmentSize || (isV4 ? DEFAULT_MSS_V4 : DEFAULT_MSS_V6)
}

/** Takes over the guest's SYN: its initial sequence number, its window, its scale, and the size of segments to it. */
export function takeSyn({ sender, receiver }: Connection, segment: Segment, windowScale: number, mss: number): void {
  receiver.begin(segment.sequence)
  // RFC 7323 2.2 MUST: the window of a SYN isn't scaled.
  sender.setWindow(segment.sequence, segment.window)
  // RFC 7323 2.2 MUST: windows are scaled in both directions or in none.
  const isScaling = windowScale >= 0
  sender.windowScaleFromGuest = isScaling ? windowScale : 0
  receiver.windowScaleToGuest = isScaling ? OWN_WINDOW_SCALE : 0
  sender.mssToGuest = Math.max(mss, MINIMUM_MSS)
}
