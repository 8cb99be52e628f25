/**
 * Keep-alive probes of the guest (SO_KEEPALIVE), which are about its correspondent. The host probes the correspondent
 * in turn, and the guest gets its answer once the host has one: the guest decides when to probe, how often, and when to
 * give up. Once the guest stops probing, the host's kernel probes at its own intervals again.
 */

import type { TcpContext } from "./context.ts"
import type { TcpConnection } from "./tcp-connection.ts"

/** Silence of the correspondent after which it is probed, and the interval of probes, milliseconds. */
const SHORTEST_IDLE = 1_000

/**
 * Handles a keep-alive probe of the guest. Returns true if the correspondent is known to be there: it was heard just
 * now, or its kernel has something to acknowledge, so that the host finds out by itself. Otherwise makes the host
 * probe, and {@link isCorrespondentHeard} has the answer later.
 */
export function knowsCorrespondent(context: TcpContext, connection: TcpConnection): boolean {
  const { socket, askedAt } = connection
  const { sockets } = context.components
  const { information, now } = context
  if (connection.heldBytes > 0 || sockets.unacknowledged(socket) > 0) return true
  if (sockets.tcpInformation(socket, information) < 0 || information.silence < SHORTEST_IDLE) return true
  if (askedAt >= 0 && now - askedAt < SHORTEST_IDLE) return false
  if (sockets.askCorrespondent(socket) < 0) return true
  connection.askedAt = now
  return false
}

/**
 * True once the correspondent was heard since the host was made to probe it; the host's own intervals are then
 * restored.
 */
export function isCorrespondentHeard(context: TcpContext, connection: TcpConnection): boolean {
  const { socket, askedAt } = connection
  const { sockets } = context.components
  const { information, now } = context
  if (sockets.tcpInformation(socket, information) === 0 && information.silence > now - askedAt) return false
  leaveAskingToHost(context, connection)
  return true
}

/** Restores the host's own probe intervals: the guest has its answer, or probes no more. */
export function leaveAskingToHost(context: TcpContext, connection: TcpConnection): void {
  if (connection.askedAt < 0) return
  context.components.sockets.keepAlive(connection.socket, 0)
  connection.askedAt = -1
}
