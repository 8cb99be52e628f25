/**
 * Verdicts on new flows, on behalf of a stack's protocols.
 *
 * Flows whose verdict is open are few, and found by their initiating side. A flow of the guest's waits with copies of
 * its first packets, which are handed to its handler again once the question is answered. A flow from outside waits
 * with what its handler keeps: an accepted socket. All that waits for one question gets one answer. Where nothing
 * waits, as for datagrams from outside, the answer is kept for the next one, for a few seconds.
 *
 * The guest has one limit of flows that wait until they begin, flows from outside have another. As many answers are
 * kept.
 */
import {
  type Arena,
  type Clock,
  type DecidedVerdictId,
  type Demiflow,
  type DropReason,
  type Drops,
  type Forwarding,
  type Guest,
  Interface,
  type Listener,
  type Ruling,
  type Sequence,
  Verdict,
  type VerdictId,
  type Verdicts,
} from "@demiflow/core"
import { HeldPacketPlace, holdPacket } from "./held-packets.ts"
import { OpenQuestion, OpenQuestions } from "./open-questions.ts"

const DEFAULT_PATIENCE = 10_000
const DEFAULT_FLOWS = 256
/** Packets that are kept for a flow: as many as a QUIC client sends at first, and more than TCP repeats its SYN. */
const PACKETS_PER_FLOW = 4
/** Milliseconds for which an answer is kept for which nothing waits: senders of datagrams repeat them sooner. */
const ANSWER_KEPT = 3_000
/** Flows that begin in one turn of those that waited. */
const TURN_BUDGET = 64

/** What {@link Deciding} needs from a stack. */
export interface DecidingParts {
  readonly arena: Arena
  readonly clock: Clock
  readonly drops: Drops
  readonly guest: Guest
  /** The policy, which doesn't throw. */
  readonly forwarding: Forwarding
  /** The number of the handler that is being called. */
  running(): number
  /** Hands a packet to the handlers. */
  replay(sequence: Sequence): void
  /** Calls a function on behalf of a handler. */
  call(handler: number, resume: () => void): void
  /** See `StackParts`. */
  readonly requestTurn?: (() => void) | undefined
  /** Reports an error of the policy. */
  failed(error: unknown): void
  /** Reports a flow that the policy doesn't let in. */
  refused(
    protocol: number,
    initiating: Demiflow,
    verdict: typeof Verdict.refuse | typeof Verdict.drop,
    ruling: Ruling,
  ): void
}

export class Deciding implements Verdicts {
  readonly #parts: DecidingParts
  readonly #patience: number
  readonly #most: number
  readonly #place: HeldPacketPlace | undefined
  readonly #questions = new OpenQuestions()
  /** Answered questions whose flows begin in the next turn. */
  readonly #ready: OpenQuestion[] = []
  /** Answered questions for which nothing waits, in the order of their answers. */
  readonly #kept = new Set<OpenQuestion>()
  #waitingFromGuest = 0
  #waitingFromOutside = 0
  #nextDeadline = Number.POSITIVE_INFINITY
  readonly #noTarget: DropReason
  readonly #tooMany: DropReason
  readonly #notKept: DropReason
  readonly #timedOut: DropReason
  readonly #withdrawn: DropReason
  readonly #answered = (question: OpenQuestion): void => this.#close(question)

  constructor(parts: DecidingParts) {
    const { arena, drops, forwarding } = parts
    const { patience } = forwarding
    this.#parts = parts
    this.#patience = patience?.milliseconds ?? DEFAULT_PATIENCE
    this.#most = patience?.flows ?? DEFAULT_FLOWS
    this.#place = patience === undefined ? undefined : new HeldPacketPlace(arena)
    this.#noTarget = drops.reason("stack: policy failed")
    this.#tooMany = drops.reason("forward: too many flows wait for a verdict")
    this.#notKept = drops.reason("forward: not kept while its verdict was open")
    this.#timedOut = drops.reason("forward: no verdict in time")
    this.#withdrawn = drops.reason("forward: ended before its verdict")
  }

  fromGuest(protocol: number, initiating: Demiflow, ruling: Ruling, sequence: Sequence, index: number): VerdictId {
    const verdict = this.#decideFromGuest(protocol, initiating, ruling, sequence, index)
    return this.#report(protocol, initiating, verdict, ruling)
  }

  towardsGuest(listener: Listener, initiating: Demiflow, ruling: Ruling, wait?: () => () => void): VerdictId {
    const verdict = this.#decideTowardsGuest(listener, initiating, ruling, wait)
    return this.#report(listener.protocol, initiating, verdict, ruling)
  }

  #report(protocol: number, initiating: Demiflow, answer: VerdictId, ruling: Ruling): VerdictId {
    const verdict = answer === Verdict.forward ? this.#checkTarget(ruling) : answer
    const isIn = verdict === Verdict.forward || verdict === Verdict.later
    if (!isIn) this.#parts.refused(protocol, initiating, verdict, ruling)
    return verdict
  }

  /** Without a target, a socket would connect to the host itself. */
  #checkTarget(ruling: Ruling): DecidedVerdictId {
    if (!ruling.target.correspondentAddress.isUnspecified) return Verdict.forward
    this.#parts.failed(new Error("The policy forwards a flow and has filled in no target"))
    return ruling.drop(this.#noTarget)
  }

  #decideFromGuest(
    protocol: number,
    initiating: Demiflow,
    ruling: Ruling,
    sequence: Sequence,
    index: number,
  ): VerdictId {
    let question = this.#find(protocol, initiating)
    if (question === undefined) {
      const verdict = this.#parts.forwarding.target(protocol, initiating, ruling)
      if (verdict !== Verdict.later) return verdict
      question = this.#ask(protocol, initiating, ruling)
      if (question === undefined) return ruling.drop(this.#tooMany)
    }
    if (!question.isOpen) return this.#take(question, ruling)
    this.#hold(question, sequence, index)
    return Verdict.later
  }

  #decideTowardsGuest(
    listener: Listener,
    initiating: Demiflow,
    ruling: Ruling,
    wait: (() => () => void) | undefined,
  ): VerdictId {
    const { protocol } = listener
    let question = this.#find(protocol, initiating)
    if (question === undefined) {
      const { forwarding, guest } = this.#parts
      const verdict = forwarding.targetAtGuest(listener, initiating, guest, ruling)
      if (verdict !== Verdict.later) return verdict
      question = this.#ask(protocol, initiating, ruling)
      if (question === undefined) return ruling.drop(this.#tooMany)
    }
    if (!question.isOpen) return this.#take(question, ruling)
    if (wait !== undefined) {
      if (question.resume !== undefined) this.#replace(question, question.resume)
      question.resume = wait()
    }
    ruling.reason = this.#notKept
    return Verdict.later
  }

  again(protocol: number, initiating: Demiflow, ruling: Ruling): DecidedVerdictId {
    return this.#parts.forwarding.again?.(protocol, initiating, ruling) ?? Verdict.forward
  }

  /** Time at which {@link Deciding.expire} is due next, in clock milliseconds; Infinity if never. */
  nextDeadline(): number {
    return this.#nextDeadline
  }

  /** Begins the flows whose questions are answered, and gives up questions whose time is over. */
  expire(now: number): void {
    if (now < this.#nextDeadline) return
    for (const question of this.#questions) {
      if (question.until > now) continue
      if (question.isOpen) this.#giveUp(question, this.#timedOut)
      else this.#forget(question)
    }
    for (let left = TURN_BUDGET; left > 0; left--) {
      const question = this.#ready.shift()
      if (question === undefined) break
      this.#begin(question)
    }
    this.#findDeadline(now)
  }

  /** Gives up all questions, because the guest is gone or the stack ends. */
  withdraw(): void {
    for (const question of this.#questions) if (question.isOpen) this.#giveUp(question, this.#withdrawn)
    for (const question of this.#ready.splice(0)) {
      question.verdict = question.ruling.drop(this.#withdrawn)
      this.#parts.drops.count(this.#withdrawn, question.packets.splice(0).length)
      this.#begin(question)
    }
    for (const question of this.#kept) this.#forget(question)
    this.#nextDeadline = Number.POSITIVE_INFINITY
  }

  #find(protocol: number, initiating: Demiflow): OpenQuestion | undefined {
    return this.#questions.count === 0 ? undefined : this.#questions.find(protocol, initiating)
  }

  #ask(protocol: number, initiating: Demiflow, ruling: Ruling): OpenQuestion | undefined {
    const { ask } = ruling
    ruling.ask = undefined
    const isFromGuest = initiating.interface === Interface.tap
    if ((isFromGuest ? this.#waitingFromGuest : this.#waitingFromOutside) >= this.#most) return undefined
    const until = this.#parts.clock.now + this.#patience
    const question = new OpenQuestion(protocol, initiating, ruling, this.#parts.running(), until, this.#answered)
    this.#questions.add(question)
    this.#countWaiting(question, 1)
    if (until < this.#nextDeadline) this.#nextDeadline = until
    try {
      ask?.(question)
    } catch (error) {
      this.#parts.failed(error)
      question.answer(question.ruling.drop(this.#timedOut))
    }
    if (question.isOpen) this.#parts.requestTurn?.()
    return question
  }

  /** Hands the answer over to the handler that asks for it. What waits needs it as well. */
  #take(question: OpenQuestion, ruling: Ruling): VerdictId {
    if (!question.isAwaited) this.#forget(question)
    ruling.copyFrom(question.ruling)
    return question.verdict
  }

  #hold(question: OpenQuestion, sequence: Sequence, index: number): void {
    const { packets } = question
    const { arena, drops } = this.#parts
    for (let next = index; next < sequence.count; next++) {
      const hasRoom = this.#place !== undefined && packets.length < PACKETS_PER_FLOW
      const packet = hasRoom ? holdPacket(arena, sequence, next) : undefined
      if (packet === undefined) drops.count(this.#notKept)
      else packets.push(packet)
    }
  }

  /** Drops what waits for a question, since the same client has connected again: the earlier connection is over. */
  #replace(question: OpenQuestion, resume: () => void): void {
    question.verdict = question.ruling.drop(this.#notKept)
    this.#parts.call(question.handler, resume)
    question.verdict = Verdict.later
  }

  /** Notes that a question is no longer open. */
  #close(question: OpenQuestion): void {
    const { now } = this.#parts.clock
    if (question.isAwaited) {
      question.until = Number.POSITIVE_INFINITY
      this.#ready.push(question)
      this.#nextDeadline = Math.min(this.#nextDeadline, now)
      return
    }
    this.#countWaiting(question, -1)
    question.until = now + ANSWER_KEPT
    this.#nextDeadline = Math.min(this.#nextDeadline, question.until)
    this.#kept.add(question)
    if (this.#kept.size <= this.#most) return
    for (const oldest of this.#kept) {
      this.#forget(oldest)
      break
    }
  }

  /** Forgets an answer that was kept. */
  #forget(question: OpenQuestion): void {
    this.#kept.delete(question)
    this.#questions.remove(question)
  }

  #countWaiting({ initiating }: OpenQuestion, change: 1 | -1): void {
    if (initiating.interface === Interface.tap) this.#waitingFromGuest += change
    else this.#waitingFromOutside += change
  }

  /** Drops a flow whose question nobody has answered. */
  #giveUp(question: OpenQuestion, reason: DropReason): void {
    question.answer(question.ruling.drop(reason))
  }

  /** Lets the handler of an answered question ask again, about all that has waited. */
  #begin(question: OpenQuestion): void {
    const { resume, packets } = question
    try {
      if (resume !== undefined) this.#parts.call(question.handler, resume)
      for (const packet of packets) {
        if (this.#place === undefined) break
        this.#parts.guest.hearAgain?.(packet.sourceMac)
        this.#parts.replay(this.#place.put(packet))
      }
    } finally {
      this.#countWaiting(question, -1)
      this.#questions.remove(question)
    }
  }

  #findDeadline(now: number): void {
    let deadline = this.#ready.length > 0 ? now : Number.POSITIVE_INFINITY
    for (const { until } of this.#questions) if (until < deadline) deadline = until
    this.#nextDeadline = deadline
  }
}
