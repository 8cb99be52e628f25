import { type DecidedVerdictId, type Demiflow, type Question, Ruling, Verdict, type VerdictId } from "@demiflow/core"
import type { HeldPacket } from "./held-packets.ts"

/** A flow that waits for its verdict, or has one and hasn't begun yet. */
export class OpenQuestion implements Question {
  readonly protocol: number
  readonly initiating: Demiflow
  readonly ruling: Ruling = new Ruling()
  /** Packets of the guest that are handed over again once the question is answered. */
  readonly packets: HeldPacket[] = []
  /** What a flow from outside waits with: asks again. Undefined for a flow of the guest's. */
  resume: (() => void) | undefined = undefined
  /** The number of the handler that asked. */
  readonly handler: number
  /** Clock milliseconds: when the question is given up, or the answer forgotten. */
  until: number
  /** `later` while the question is open. */
  verdict: VerdictId = Verdict.later
  /** The next question with the same hash. */
  next: OpenQuestion | undefined = undefined
  readonly #answered: (question: OpenQuestion) => void

  /** @param answered called once, when the question is answered in time */
  constructor(
    protocol: number,
    initiating: Demiflow,
    ruling: Ruling,
    handler: number,
    until: number,
    answered: (question: OpenQuestion) => void,
  ) {
    this.protocol = protocol
    this.initiating = initiating.clone()
    this.ruling.copyFrom(ruling)
    this.handler = handler
    this.until = until
    this.#answered = answered
  }

  get isOpen(): boolean {
    return this.verdict === Verdict.later
  }

  /** True if something waits that begins once the question is answered. */
  get isAwaited(): boolean {
    return this.resume !== undefined || this.packets.length > 0
  }

  answer(verdict: DecidedVerdictId): void {
    if (!this.isOpen) return
    this.verdict = verdict
    this.#answered(this)
  }
}

/** Questions by the flows that they are about. */
export class OpenQuestions {
  readonly #byHash = new Map<number, OpenQuestion>()
  #count = 0

  get count(): number {
    return this.#count
  }

  find(protocol: number, initiating: Demiflow): OpenQuestion | undefined {
    let found = this.#byHash.get(hashOf(protocol, initiating))
    while (found !== undefined && (found.protocol !== protocol || !found.initiating.equals(initiating))) {
      found = found.next
    }
    return found
  }

  add(question: OpenQuestion): void {
    const hash = hashOf(question.protocol, question.initiating)
    question.next = this.#byHash.get(hash)
    this.#byHash.set(hash, question)
    this.#count++
  }

  remove(question: OpenQuestion): void {
    const hash = hashOf(question.protocol, question.initiating)
    const first = this.#byHash.get(hash)
    if (first === question) {
      if (question.next === undefined) this.#byHash.delete(hash)
      else this.#byHash.set(hash, question.next)
    } else {
      let before = first
      while (before !== undefined && before.next !== question) before = before.next
      if (before === undefined) return
      before.next = question.next
    }
    question.next = undefined
    this.#count--
  }

  *[Symbol.iterator](): Iterator<OpenQuestion> {
    for (const first of this.#byHash.values()) {
      for (let question: OpenQuestion | undefined = first; question !== undefined; ) {
        const { next }: OpenQuestion = question
        yield question
        question = next
      }
    }
  }
}

/** Without a key: questions are so few that a guest gains nothing from flows with one hash. */
function hashOf(protocol: number, side: Demiflow): number {
  const ends = side.forwardingAddress.word3 ^ Math.imul(side.correspondentAddress.word3, 31)
  return Math.imul(ends ^ protocol, 0x9e3779b1) ^ (side.forwardingPort << 16) ^ side.correspondentPort
}
