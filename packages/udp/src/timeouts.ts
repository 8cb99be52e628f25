/**
 * The lifetime of a flow without traffic.
 *
 * UDP has no end of a conversation. RFC 4787, REQ-5, requires at least two minutes, whether anything was answered or
 * not, and lets a NAT use less for specific ports below 1024, as suits the application that is registered there (a):
 * ports where one question has one answer. For those, we use the 30 s of connection tracking, until the side that began
 * continues after the first answer: a tunnel may use such a port too.
 */

/** Milliseconds without traffic that a single exchange with a question port lasts, answered or not. */
export const DEFAULT_TIMEOUT_ONE_SHOT = 30_000
/** Milliseconds without traffic that a flow lasts, before the target has sent anything. */
export const DEFAULT_TIMEOUT_BEFORE_REPLY = 120_000
/** Milliseconds without traffic in either direction that a flow lasts, once the target has answered. */
export const DEFAULT_TIMEOUT_AFTER_REPLY = 180_000

/** Ports below 1024 with single questions and answers: DNS, NTP, NetBIOS names, SNMP. */
const QUESTION_PORTS: ReadonlySet<number> = new Set([53, 123, 137, 161])

/** Options of the UDP plugin. */
export interface UdpOptions {
  /**
   * Lifetime without traffic of a single exchange with a correspondent's port 53, 123, 137 or 161, milliseconds; 30,000
   * by default.
   */
  readonly timeoutOneShot?: number
  /** Lifetime without traffic before the target has answered, milliseconds; 120,000 by default. */
  readonly timeoutBeforeReply?: number
  /** Lifetime without traffic in either direction after an answer, milliseconds; 180,000 by default. */
  readonly timeoutAfterReply?: number
}

/** The properties of a flow that its lifetime depends on. */
export interface Lasting {
  /** True if {@link isWellKnown} holds for the correspondent's port on the host or in the namespace. */
  isToWellKnownPort: boolean
  /** True if anything has come back to where the flow began. */
  hasReply: boolean
  /** True if the side that began has sent more after an answer. */
  isConversation: boolean
}

/** True for ports with the shorter lifetime. */
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

  /** Returns the milliseconds without traffic after which the flow ends. */
  of(flow: Lasting): number {
    // RFC 4787 REQ-5 (ports) MAY: flows to certain ports below 1024 may last for less
    if (flow.isToWellKnownPort && !flow.isConversation) return this.#oneShot
    // RFC 4787 REQ-5 MUST: a flow lasts two minutes or more without traffic
    return flow.hasReply ? this.#afterReply : this.#beforeReply
  }
}
