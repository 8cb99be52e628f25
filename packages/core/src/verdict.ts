/** Verdicts: what a forwarding policy answers about a new flow. */

/** What becomes of a new flow. */
export const Verdict = {
  /** The flow goes ahead, to the ruling's target. */
  forward: 0,
  /** There is no such flow, and the end that began it hears of that at once, in the form of the ruling's refusal. */
  refuse: 1,
  /** There is no such flow, and the end that began it hears nothing. */
  drop: 2,
  /** The question is open. */
  later: 3,
} as const
/** One of {@link Verdict}. */
export type VerdictId = (typeof Verdict)[keyof typeof Verdict]
/** A verdict that is final. */
export type DecidedVerdictId = Exclude<VerdictId, typeof Verdict.later>

/**
 * The form in which the guest hears of a refusal. A flow that began on the host is refused by a reset if its protocol
 * has one.
 */
export const Refusal = {
  /**
   * As by a firewall: ICMP "communication administratively prohibited" (RFC 1812, section 5.2.7.1), ICMPv6
   * "communication with destination administratively prohibited" (RFC 4443, section 3.1).
   */
  prohibited: 0,
  /** As by a host on which nothing listens: a reset for TCP. Protocols without a reset use `prohibited`. */
  reset: 1,
} as const
/** One of {@link Refusal}. */
export type RefusalId = (typeof Refusal)[keyof typeof Refusal]

declare const ruleBrand: unique symbol

/** The number that a policy gives one of its rules: 1 to 2^31 - 1, or {@link NO_RULE}. */
export type RuleId = number & { readonly [ruleBrand]: true }

/** No rule decided. */
export const NO_RULE: RuleId = 0 as RuleId

/** How many flows may wait for a verdict, and for how long. */
export interface Patience {
  /** Milliseconds within which a question must be answered; 10,000 if absent. Then the flow is dropped. */
  readonly milliseconds?: number
  /** Flows of the guest that may wait at once, and flows from outside, each; 256 if absent. Others are dropped. */
  readonly flows?: number
}
