import {
  type Address,
  type DecidedVerdictId,
  type Demiflow,
  type DropReason,
  type Drops,
  type Forwarding,
  type GuestEnds,
  type Listener,
  type Patience,
  type Question,
  Refusal,
  type RuleId,
  type Ruling,
  Verdict,
  type VerdictId,
} from "@demiflow/core"

/** What a {@link ScriptedPolicy} answers: `reset` is a refusal by a reset. */
export type ScriptedVerdict = "forward" | "refuse" | "reset" | "drop" | "later" | "throw"

/**
 * A policy that answers what the test says, for every flow that another policy would forward:
 *
 *     const policy = new ScriptedPolicy("later")
 *     const { guest, run } = memoryStack([tcp()], { policy: policy.around })
 */
export class ScriptedPolicy implements Forwarding {
  /** The reason of refused and dropped flows. */
  static readonly reason = "scripted policy"
  /** The rule that decides about every flow. */
  static readonly rule: RuleId = 7 as RuleId

  readonly patience: Patience
  /** The next answers. */
  verdict: ScriptedVerdict
  /** Questions that were asked with `later`, answered ones too. */
  readonly questions: Question[] = []
  /** Number of flows that were decided about. */
  asked = 0
  #inner: Forwarding | undefined
  #reason = -1 as DropReason

  constructor(verdict: ScriptedVerdict, patience: Patience = {}) {
    this.verdict = verdict
    this.patience = patience
  }

  /** For the option `policy` of a memory stack. */
  readonly around = (inner: Forwarding, drops: Drops): Forwarding => {
    this.#inner = inner
    this.#reason = drops.reason(ScriptedPolicy.reason)
    return this
  }

  target(protocol: number, initiating: Demiflow, ruling: Ruling): VerdictId {
    return this.#decide(this.#policy.target(protocol, initiating, ruling), ruling)
  }

  targetAtGuest(listener: Listener, initiating: Demiflow, guest: GuestEnds, ruling: Ruling): VerdictId {
    return this.#decide(this.#policy.targetAtGuest(listener, initiating, guest, ruling), ruling)
  }

  hasOutboundAddress(isV4: boolean): boolean {
    return this.#policy.hasOutboundAddress(isV4)
  }

  sourceTowardsGuest(source: Address, guest: GuestEnds): Readonly<Address> | undefined {
    return this.#policy.sourceTowardsGuest(source, guest)
  }

  translateToGuest(address: Address): void {
    this.#policy.translateToGuest(address)
  }

  /** Answers the open questions. */
  answer(verdict: Exclude<ScriptedVerdict, "later" | "throw">): void {
    for (const question of this.questions) {
      if (question.isOpen) question.answer(this.#rule(verdict, question.ruling))
    }
  }

  get #policy(): Forwarding {
    if (this.#inner === undefined) throw new Error("Make the stack with the option { policy: policy.around }")
    return this.#inner
  }

  #decide(verdict: VerdictId, ruling: Ruling): VerdictId {
    if (verdict !== Verdict.forward) return verdict
    this.asked++
    switch (this.verdict) {
      case "throw":
        throw new Error("a policy's mistake")
      case "later":
        return ruling.later((question) => this.questions.push(question))
      default:
        return this.#rule(this.verdict, ruling)
    }
  }

  #rule(verdict: Exclude<ScriptedVerdict, "later" | "throw">, ruling: Ruling): DecidedVerdictId {
    const { rule } = ScriptedPolicy
    if (verdict === "forward") return ruling.forward(rule)
    if (verdict === "drop") return ruling.drop(this.#reason, rule)
    return ruling.refuse(this.#reason, rule, verdict === "reset" ? Refusal.reset : Refusal.prohibited)
  }
}
