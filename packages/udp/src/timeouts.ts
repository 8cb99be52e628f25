/**
 * How long a flow lives without traffic.
 *
 * UDP has no end of a conversation. RFC 4787, REQ-5, asks for two minutes at least, whether anything was answered or not,
 * and lets a NAT be brief with single ports below 1024, as suits the application that is registered there (a): those where one
 * question has one answer. There, connection tracking's 30 s hold until the side that began goes on after the first answer: a
 * tunnel may use such a port too.
 */

/** Milliseconds that a single exchange lasts with a correspondent's port of questions and answers, answered or not. */
export const DEFAULT_TIMEOUT_ONE_SHOT = 30_000
/** Milliseconds since the last datagram, before the target has sent anything. */
export const DEFAULT_TIMEOUT_BEFORE_REPLY = 120_000
/** Milliseconds since the last datagram in either direction, once it has. */
export const DEFAULT_TIMEOUT_AFTER_REPLY = 180_000

/** Questions and answers below 1024: DNS, NTP, NetBIOS names, SNMP. */
const QUESTION_PORTS: ReadonlySet<number> = new Set([53, 123, 137, 161])

/** Options of the UDP plugin. */
export interface UdpOptions {
  /**
   * Lifetime without traffic of a single exchange with a correspondent's port 53, 123, 137 or 161, milliseconds; 30,000 by
   * default.
   */
  readonly timeoutOneShot?: number
  /** Lifetime without traffic while nothing has come back, milliseconds; 120,000 by default. */
  readonly timeoutBeforeReply?: number
  /** Lifetime without traffic in either direction afterwards, milliseconds; 180,000 by default. */
  readonly timeoutAfterReply?: number
}

/** What a flow's lifetime depends on. */
export interface Lasting {
  /** Whether {@link isWellKnown} holds for its correspondent's port on the host or in the namespace. */
  isToWellKnownPort: boolean
  /** Whether anything has come back to where the flow began. */
  hasReply: boolean
  /** Whether the side that began has sent more after that. */
  isConversation: boolean
}

/** True for ports that the shorter lifetime is for. */
export function isWellKnown(port: number): boolean {
  return QUESTION_PORTS.has(port)
}

/** The lifetimes of a stack's flows. */
export class Timeouts {
  readonly #oneShot: number
  readonly #beforeReply: number
  readonly #afterReply: number

  constructor(options: UdpOptions) {
    this.#oneShot = options.timeoutOneShot ?? DEFAULT_TIMEOUT_ONE_SHOT
    this.#beforeReply = options.timeoutBeforeReply ?? DEFAULT_TIMEOUT_BEFORE_REPLY
    this.#afterReply = options.timeoutAfterReply ?? DEFAULT_TIMEOUT_AFTER_REPLY
  }

  /** Milliseconds without traffic after which the flow ends. */
  of(flow: Lasting): number {
    if (flow.isToWellKnownPort && !flow.isConversation) return this.#oneShot
    return flow.hasReply ? this.#afterReply : this.#beforeReply
  }
}
