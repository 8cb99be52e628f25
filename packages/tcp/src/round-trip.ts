/** Round-trip time and retransmission time-out towards the guest (RFC 6298), milliseconds. */
import { INITIAL_RTO, type TcpConnection } from "./connection.ts"

/** As Linux: a second (RFC 6298, 2.4) is far too long for a link inside one machine. */
const MINIMUM_RTO = 200
/** RFC 6298, 2.5 allows a limit of 60 seconds at least. */
const MAXIMUM_RTO = 60_000

/** What the time-out begins with where our SYN had to be sent again (RFC 6298, 5.7). */
export const RTO_AFTER_LOST_SYN = 3000

/** Takes a measurement into account (RFC 6298, 2.2 and 2.3). */
export function measured(connection: TcpConnection, rtt: number): void {
  if (connection.smoothedRtt < 0) {
    connection.smoothedRtt = rtt
    connection.rttVariation = rtt / 2
  } else {
    const error = rtt - connection.smoothedRtt
    connection.rttVariation += (Math.abs(error) - connection.rttVariation) / 4
    connection.smoothedRtt += error / 8
  }
  setTimeOut(connection)
}

function setTimeOut(connection: TcpConnection): void {
  const rto = Math.round(connection.smoothedRtt + Math.max(1, 4 * connection.rttVariation))
  connection.rto = Math.min(Math.max(rto, MINIMUM_RTO), MAXIMUM_RTO)
}

/** Milliseconds to the next question whether a shut window has opened (RFC 9293, section 3.8.6.1: exponentially more). */
export function probeInterval(connection: TcpConnection): number {
  return Math.min(connection.rto * 2 ** connection.windowProbes, MAXIMUM_RTO)
}

/** Forgets that time-outs have passed: what was sent was lost with the link, not on the way. */
export function withoutBackOff(connection: TcpConnection): void {
  connection.retries = 0
  if (connection.smoothedRtt < 0) connection.rto = INITIAL_RTO
  else setTimeOut(connection)
}

/** Doubles the time-out after it has passed (RFC 6298, 5.5). */
export function backOff(connection: TcpConnection): void {
  connection.rto = Math.min(connection.rto * 2, MAXIMUM_RTO)
}
