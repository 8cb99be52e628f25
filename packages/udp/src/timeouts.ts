/**
 * How long a flow lives without traffic.
 *
 * UDP has no end of a conversation: RFC 4787, section 4.3, leaves a NAT two minutes at least once a mapping is in use, and
 * most questions get one answer at once or none. The defaults are what Linux' connection tracking and the C tools do.
 */

/** Milliseconds, before the correspondent on the host side has sent anything. */
export const DEFAULT_TIMEOUT_BEFORE_REPLY = 30_000
/** Milliseconds since the last datagram in either direction, once it has. */
export const DEFAULT_TIMEOUT_AFTER_REPLY = 180_000

/** Options of the UDP plugin. */
export interface UdpOptions {
  /** Lifetime without traffic while nothing has come back, milliseconds; 30,000 unless told otherwise. */
  readonly timeoutBeforeReply?: number
  /** Lifetime without traffic in either direction afterwards, milliseconds; 180,000 unless told otherwise. */
  readonly timeoutAfterReply?: number
}
