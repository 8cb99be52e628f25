import { Demiflow } from "./demiflow.ts"
import type { DropReason } from "./drops.ts"
import { type DecidedVerdictId, NO_RULE, Refusal, type RefusalId, type RuleId, Verdict } from "./verdict.ts"

/** A reason that no `Drops` has registered. */
const NO_REASON = -1 as DropReason
const NO_TARGET: Readonly<Demiflow> = new Demiflow()

/** A flow that waits for its verdict, as the policy sees it. */
export interface Question {
  /** IP protocol number. */
  readonly protocol: number
  /** The flow's initiating side. */
  readonly initiating: Demiflow
  /** The ruling to fill in. Its target is the one that the policy had filled in when it answered `later`. */
  readonly ruling: Ruling
  /** False once the question is answered, or its time is over. */
  readonly isOpen: boolean
  /**
   * Answers the question; the flow begins, or is refused, in the next turn. Ignored if the question isn't open.
   *
   * @param verdict the result of one of the ruling's methods
   */
  answer(verdict: DecidedVerdictId): void
}

/** A function that takes the question about a flow: see {@link Ruling.later}. */
export type Ask = (question: Question) => void

/**
 * A policy's answer about a flow. A policy fills in `target`, and returns what one of the methods returns. Mutable, so
 * that one instance serves every flow.
 */
export class Ruling {
  /** The flow's target side. */
  readonly target: Demiflow = new Demiflow()
  /** The rule that decided. It is kept with the flow. */
  rule: RuleId = NO_RULE
  /** The reason under which packets of a flow that isn't forwarded are counted. */
  reason: DropReason = NO_REASON
  /** How the guest hears of a refusal. */
  refusal: RefusalId = Refusal.prohibited
  /** With the verdict `later`: takes the question. */
  ask: Ask | undefined = undefined

  /** The flow goes ahead, to `target`. */
  forward(rule: RuleId = NO_RULE): typeof Verdict.forward {
    this.rule = rule
    return Verdict.forward
  }

  /** There is no such flow, and the end that began it hears of that. */
  refuse(reason: DropReason, rule: RuleId = NO_RULE, refusal: RefusalId = Refusal.prohibited): typeof Verdict.refuse {
    this.reason = reason
    this.rule = rule
    this.refusal = refusal
    return Verdict.refuse
  }

  /** There is no such flow, and the end that began it hears nothing. */
  drop(reason: DropReason, rule: RuleId = NO_RULE): typeof Verdict.drop {
    this.reason = reason
    this.rule = rule
    return Verdict.drop
  }

  /**
   * The flow is decided about later.
   *
   * @param ask called with the question, unless too many flows wait. It may answer at once
   */
  later(ask: Ask): typeof Verdict.later {
    this.ask = ask
    return Verdict.later
  }

  /** Forgets the last flow: a target that the policy doesn't fill in is none. */
  clear(): void {
    this.target.copyFrom(NO_TARGET)
    this.rule = NO_RULE
    this.reason = NO_REASON
    this.refusal = Refusal.prohibited
    this.ask = undefined
  }

  /** Copies all but `ask`. */
  copyFrom(other: Ruling): this {
    this.target.copyFrom(other.target)
    this.rule = other.rule
    this.reason = other.reason
    this.refusal = other.refusal
    return this
  }
}
