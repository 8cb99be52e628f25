/**
 * Whether both ends of a connection are still there, when neither says anything.
 *
 * - **The guest** is asked when it has been silent for five minutes (RFC 9293, section 3.8.4): a reset is the answer of one that
 *   has lost the connection. No answer proves nothing, a virtual machine may be paused: only after more than two hours and four
 *   minutes without one the connection is over (RFC 5382, REQ-5).
 * - **A guest that has closed** forgets the connection after a while if its correspondent doesn't close as well (Linux after a
 *   minute, `tcp_fin_timeout`), without a word. It is asked soon after that. One that has closed its direction only answers, and
 *   keeps the connection for as long as it does.
 * - **The correspondent** is asked by the host's kernel, at the kernel's times.
 * - **A guest that asks** (SO_KEEPALIVE) wants to know of its correspondent, not of us. So the host asks in its turn, and
 *   the guest is answered when the host was: when to ask, how often, and when to give up stays with the guest. Once it asks
 *   no more, the host's kernel asks by itself again.
 */
import type { TcpConnection } from "./connection.ts"
import type { TcpContext } from "./context.ts"
import type { Segment } from "./segment.ts"
import { distance } from "./sequence-number.ts"
import { State } from "./state.ts"
import { TcpFlag } from "./wire.ts"

/** Silence of the guest after which it is asked, and from one question to the next, milliseconds. */
const SILENCE = 300_000
/** Questions without an answer until the connection is over: 125 minutes. */
const QUESTIONS = 24
/** The same for a guest that has closed its direction: when Linux, whose timers may be seconds late, has forgotten it. */
const SILENCE_AFTER_FIN = 65_000
/** More than four minutes' (RFC 5382, REQ-5, "transitory"). */
const QUESTIONS_AFTER_FIN = 9
/**
 * How long what is held for a host that takes none of it may wait once the guest is gone, milliseconds: about as long as
 * Linux keeps payload of a socket after its last user has gone.
 */
const DRAIN_PATIENCE = 600_000
/** Silence of the correspondent after which it is asked, and from one question to the next, milliseconds. */
const SHORTEST_IDLE = 1_000

/** When the guest is to be asked whether it is still there; in `timeWait`, when what is held is given up. */
export function keepAliveAt(connection: TcpConnection): number {
  const { state, lastFromTap, keepAliveProbes } = connection
  if (state === State.timeWait) return lastFromTap + DRAIN_PATIENCE
  return lastFromTap + (keepAliveProbes + 1) * (state === State.closeWait ? SILENCE_AFTER_FIN : SILENCE)
}

/** True if the guest has been asked often enough. Otherwise counts a question. */
export function isGivenUp(connection: TcpConnection): boolean {
  const { state } = connection
  if (state === State.timeWait) return true
  return connection.keepAliveProbes++ >= (state === State.closeWait ? QUESTIONS_AFTER_FIN : QUESTIONS)
}

/**
 * True for a segment by which the guest asks after its correspondent: numbered one back, and without payload. The same
 * asks for our window, if that is shut. With a byte, as old implementations do it, it is not different from a last byte
 * that is sent again, and is about us.
 */
export function asksForCorrespondent(connection: TcpConnection, segment: Segment): boolean {
  const { socket, state, seqFromTap, ackToTap, windowEdgeToTap } = connection
  return (
    (segment.flags & ~TcpFlag.push) === TcpFlag.acknowledgement &&
    segment.length === 0 &&
    distance(segment.sequence, seqFromTap) === 1 &&
    ackToTap === seqFromTap &&
    distance(seqFromTap, windowEdgeToTap) > 0 &&
    state > State.synReceived &&
    socket >= 0
  )
}

/**
 * The guest asks after its correspondent. True if the answer is known: it was heard of just now, or its kernel has something
 * to acknowledge, so that the host finds out by itself. Otherwise the host asks, and {@link isCorrespondentHeard} answers later.
 */
export function knowsCorrespondent(context: TcpContext, connection: TcpConnection): boolean {
  const { socket, askedAt } = connection
  const { host } = context.components
  const { information, now } = context
  if (connection.heldBytes > 0 || host.unacknowledged(socket) > 0) return true
  if (host.tcpInformation(socket, information) < 0 || information.silence < SHORTEST_IDLE) return true
  if (askedAt >= 0 && now - askedAt < SHORTEST_IDLE) return false
  if (host.askCorrespondent(socket) < 0) return true
  connection.askedAt = now
  return false
}

/** True once the correspondent has been heard of since the host was made to ask, which it then stops doing so often. */
export function isCorrespondentHeard(context: TcpContext, connection: TcpConnection): boolean {
  const { socket, askedAt } = connection
  const { host } = context.components
  const { information, now } = context
  if (host.tcpInformation(socket, information) === 0 && information.silence > now - askedAt) return false
  leaveAskingToHost(context, connection)
  return true
}

/** The guest asks no more after its correspondent, or has its answer: the host asks at its own times again. */
export function leaveAskingToHost(context: TcpContext, connection: TcpConnection): void {
  if (connection.askedAt < 0) return
  context.components.host.keepAlive(connection.socket, 0)
  connection.askedAt = -1
}
