/**
 * Finds out if both ends of a connection are still there when neither sends anything.
 *
 * - **The guest** is probed when it was silent for five minutes (RFC 9293, section 3.8.4): a guest that has lost the
 *   connection answers by a reset. A missing answer proves nothing, as a virtual machine may be paused. The connection
 *   ends only after more than two hours and four minutes without an answer (RFC 5382, REQ-5).
 * - **A guest that has closed** silently forgets the connection after a while if its correspondent doesn't close as
 *   well (Linux after a minute, `tcp_fin_timeout`). It is probed soon after that. A guest that has only closed its
 *   direction answers, and keeps the connection for as long as it does.
 * - **The correspondent** is probed by the host's kernel, at the kernel's intervals.
 * - **A guest that probes** (SO_KEEPALIVE) asks about its correspondent, not about us.
 */

import type { Connection } from "./connection.ts"
import { type Segment, TcpFlag } from "./segment.ts"
import { distance } from "./sequence-number.ts"
import { State } from "./state.ts"

/** Silence of the guest after which it is probed, and the interval of probes, milliseconds. */
const SILENCE = 300_000
/** Unanswered probes after which the connection is over: 125 minutes. */
const QUESTIONS = 24
/**
 * As `SILENCE`, for a guest that has closed its direction: when Linux, whose timers may be seconds late, has forgotten
 * it.
 */
const SILENCE_AFTER_FIN = 65_000
/** More than four minutes (RFC 5382, REQ-5, "transitory"). */
const QUESTIONS_AFTER_FIN = 9
/**
 * How long held payload may wait for a host that takes none of it once the guest is gone, milliseconds: about as long
 * as Linux keeps a socket's payload after its last user has gone.
 */
const DRAIN_PATIENCE = 600_000

/** Returns when the guest is to be probed; in `timeWait`, when held payload is dropped. Clock milliseconds. */
export function keepAliveAt(connection: Connection): number {
  const { state, lastFromGuest, keepAliveProbes } = connection
  if (state === State.timeWait) return lastFromGuest + DRAIN_PATIENCE
  return lastFromGuest + (keepAliveProbes + 1) * (state === State.closeWait ? SILENCE_AFTER_FIN : SILENCE)
}

/** True if the guest was probed often enough. Otherwise counts a probe. */
export function isGivenUp(connection: Connection): boolean {
  const { state } = connection
  if (state === State.timeWait) return true
  // RFC 9293 3.8.4 MUST: a probe without an answer doesn't mean that the connection is dead.
  return connection.keepAliveProbes++ >= (state === State.closeWait ? QUESTIONS_AFTER_FIN : QUESTIONS)
}

/**
 * True for a segment by which the guest probes its correspondent: one sequence number back, without payload. If our
 * window is shut, the same segment probes the window. Old implementations send a byte with it, which can't be
 * distinguished from a retransmitted last byte: that is treated as about us.
 */
export function asksForCorrespondent(connection: Connection, segment: Segment): boolean {
  const { seqFromGuest, isOpen, room } = connection.receiver
  return (
    (segment.flags & ~TcpFlag.push) === TcpFlag.acknowledgement &&
    segment.length === 0 &&
    distance(segment.sequence, seqFromGuest) === 1 &&
    !isOpen &&
    room > 0 &&
    connection.state > State.synReceived
  )
}
