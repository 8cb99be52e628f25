/**
 * How much the guest may send at once, so that it isn't lost before it gets here.
 *
 * Between the guest's TCP and us is its network device, whose queue takes some hundreds of frames (a tap device of Linux: 500).
 * A guest that cuts its segments itself can fill it with a fraction of the window that the host has room for, and what
 * doesn't fit is lost. If the correspondent is near, what it sends is acknowledged at once, and a window of a few hundred
 * segments keeps everybody busy; the longer way to a far one needs the whole window, and spreads what is sent by itself.
 *
 * What is missing when later segments have come was lost in that queue: then the connection shares it with others, and gets
 * half. It gets more back when nothing was lost for a while.
 */
import type { TcpConnection } from "./connection.ts"
import { distance } from "./sequence-number.ts"

/** Segments that a guest may have on their way to us at once, if it cuts them itself: what its queue surely takes, … */
export const MOST_SEGMENTS = 256
/** … and however much is lost. */
const FEWEST_SEGMENTS = 32
/** Without a loss for so long, twice as many are tried, milliseconds. */
const QUIET = 1000
/** A loss that counts for nothing any more, clock milliseconds. */
export const LONG_AGO: number = -QUIET

/** Something that the connection sent was lost on its way to us. What is lost of one window is one loss (as RFC 6582 has it). */
export function noteLoss(connection: TcpConnection, now: number): void {
  const isSame = distance(connection.lossEndFromTap, connection.seqFromTap) < 0
  if (isSame && now - connection.lossFromTapAt < QUIET) return
  connection.lossFromTapAt = now
  connection.lossEndFromTap = connection.windowEdgeToTap
  connection.segmentsFromTap = Math.max(connection.segmentsFromTap >> 1, FEWEST_SEGMENTS)
}

/** Segments that it may send at once. */
export function segmentsAtOnce(connection: TcpConnection, now: number): number {
  if (connection.segmentsFromTap < MOST_SEGMENTS && now - connection.lossFromTapAt >= QUIET) {
    connection.lossFromTapAt = now
    connection.segmentsFromTap *= 2
  }
  return connection.segmentsFromTap
}
