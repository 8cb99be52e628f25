/**
 * What may be in flight towards the guest (RFC 5681). The link to the guest usually loses nothing, so there is no limit
 * before the first loss; from then on it is Reno's, until it has grown beyond any window again.
 */
import { type TcpConnection, UNLIMITED } from "./connection.ts"
import { distance } from "./sequence-number.ts"

/** Bytes from which on, as from twice the guest's window on, a limit limits nothing any more. */
const AMPLE = 4 << 20

/** Halves what may be in flight: something was lost (RFC 5681, section 3.1, equation 4). */
export function halve(connection: TcpConnection): void {
  const flight = distance(connection.ackFromTap, connection.seqToTapHighest)
  connection.slowStartThreshold = Math.max(flight >> 1, 2 * connection.mssToTap)
  connection.congestionWindow = connection.slowStartThreshold
}

/** `bytes` were acknowledged, so more may be in flight. */
export function grow(connection: TcpConnection, bytes: number): void {
  const { congestionWindow, slowStartThreshold, mssToTap } = connection
  if (congestionWindow >= UNLIMITED) return
  const isStarting = congestionWindow < slowStartThreshold
  const step = isStarting ? bytes : Math.ceil((mssToTap * Math.min(bytes, congestionWindow)) / congestionWindow)
  const grown = congestionWindow + step
  connection.congestionWindow = grown > AMPLE && grown > connection.windowFromTap * 2 ? UNLIMITED : grown
}
