/**
 * Events for observers, from when they happen until the end of the turn.
 *
 * The flow table reports flows that begin and end, handlers report states, `Deciding` reports refusals. The place of an
 * ended flow is reused only in the next turn, so the sides of a flow are read when an event is delivered. Drops need no
 * record: their counters are compared with those of the turn before.
 */
import {
  Demiflow,
  type DropReason,
  type Drops,
  FlowEnd,
  type FlowEndId,
  type FlowIndex,
  type FlowReports,
  type FlowTable,
  type FlowTableListener,
  type FlowTotals,
  initiatingSide,
  type ObservedFlow,
  type ObservedRefusal,
  type Observer,
  type Ruling,
  targetSide,
  type Verdict,
} from "@demiflow/core"

/** Events kept for the end of a turn. Refusals beyond that are left out; their packets are counted all the same. */
const MOST_REFUSALS = 1_024

type Event =
  | { readonly kind: "opened"; readonly flow: FlowIndex; readonly handler: number }
  | { readonly kind: "changed"; readonly flow: FlowIndex; readonly handler: number; readonly state: string }
  | {
      readonly kind: "closed"
      readonly flow: FlowIndex
      readonly handler: number
      readonly end: FlowEndId
      readonly totals: FlowTotals
    }
  | { readonly kind: "refused"; readonly refusal: ObservedRefusal }

/** What {@link FlowEvents} needs from a stack. */
export interface FlowEventsParts {
  readonly flows: FlowTable
  readonly drops: Drops
  /** The name of a handler. */
  nameOf(handler: number): string
  /** What a flow of a handler has carried. Doesn't throw. */
  totalsOf(flow: FlowIndex, handler: number): FlowTotals
  /** Reports an error of an observer. */
  failed(error: unknown, observer: Observer): void
}

export class FlowEvents implements FlowReports, FlowTableListener {
  readonly #parts: FlowEventsParts
  readonly #failedReason: DropReason
  /** Replaced as a whole, so that a change during a delivery disturbs nothing. */
  #observers: readonly Observer[] = []
  #events: Event[] = []
  #refusals = 0
  #isDelivering = false
  /** Drops at the end of the last turn, by reason. */
  #counts: number[] = []
  /** Why the stack is ending flows, if it is. */
  cause: FlowEndId = FlowEnd.done

  constructor(parts: FlowEventsParts) {
    this.#parts = parts
    this.#failedReason = parts.drops.reason("stack: observer failed")
  }

  get isObserved(): boolean {
    return this.#observers.length > 0
  }

  /** Adds an observer, which hears of the events delivered from now on. Returns a function that removes it. */
  add(observer: Observer): () => void {
    const { drops, flows } = this.#parts
    if (!this.isObserved) {
      for (let reason = 0; reason < drops.size; reason++) this.#counts[reason] = drops.countOf(reason as DropReason)
      flows.listener = this
    }
    this.#observers = [...this.#observers, observer]
    return () => this.#remove(observer)
  }

  opened(flow: FlowIndex): void {
    this.#events.push({ kind: "opened", flow, handler: this.#parts.flows.handlerOf(flow) })
  }

  changed(flow: FlowIndex, state: string): void {
    if (!this.isObserved) return
    this.#events.push({ kind: "changed", flow, handler: this.#parts.flows.handlerOf(flow), state })
  }

  closed(flow: FlowIndex, end: FlowEndId): void {
    const isExplained = end !== FlowEnd.aborted && end !== FlowEnd.done
    const why = isExplained || this.cause === FlowEnd.done ? end : this.cause
    const handler = this.#parts.flows.handlerOf(flow)
    this.#events.push({ kind: "closed", flow, handler, end: why, totals: this.#parts.totalsOf(flow, handler) })
  }

  /** Forgets what happened to the flows of a handler in this turn: it isn't registered after all. */
  forget(handler: number): void {
    this.#events = this.#events.filter((event) => event.kind === "refused" || event.handler !== handler)
  }

  /** Records a flow that the policy didn't let in. */
  refused(
    protocol: number,
    initiating: Demiflow,
    verdict: typeof Verdict.refuse | typeof Verdict.drop,
    { reason, rule }: Ruling,
  ): void {
    if (!this.isObserved || this.#refusals >= MOST_REFUSALS) return
    this.#refusals++
    const name = this.#parts.drops.nameOf(reason)
    const refusal = { protocol, initiating: initiating.clone(), verdict, rule, reason: name }
    this.#events.push({ kind: "refused", refusal })
  }

  /**
   * Delivers the events of a turn, and those that observers cause meanwhile. Returns false if an observer has ended the
   * turn that is being delivered: places of flows must not become free yet.
   */
  endTurn(): boolean {
    if (this.#isDelivering) return false
    if (this.isObserved) this.#deliverTurn()
    return true
  }

  #deliverTurn(): void {
    this.#isDelivering = true
    try {
      const delivered = this.#deliverEvents(0)
      this.#deliverDrops()
      // What observers of drops have caused.
      this.#deliverEvents(delivered)
    } finally {
      // An owner that throws about an observer loses the events behind, no more.
      this.#events = []
      this.#refusals = 0
      this.#isDelivering = false
    }
  }

  /** Delivers events from this one on. Returns their number by then. */
  #deliverEvents(first: number): number {
    let next = first
    for (; next < this.#events.length; next++) {
      const event = this.#events[next]
      if (event.kind === "refused") this.#deliver((observer) => observer.refused?.(event.refusal))
      else this.#deliverAbout(event)
    }
    return next
  }

  #deliverAbout(event: Exclude<Event, { readonly kind: "refused" }>): void {
    const { flows } = this.#parts
    const { flow } = event
    const initiating = new Demiflow()
    const target = new Demiflow()
    flows.readSide(initiatingSide(flow), initiating)
    flows.readSide(targetSide(flow), target)
    const handler = this.#parts.nameOf(event.handler)
    const protocol = flows.protocolOf(flow)
    const observed: ObservedFlow = { flow, protocol, handler, initiating, target, rule: flows.ruleOf(flow) }
    if (event.kind === "opened") this.#deliver((observer) => observer.opened?.(observed))
    else if (event.kind === "changed") this.#deliver((observer) => observer.changed?.(observed, event.state))
    else this.#deliver((observer) => observer.closed?.(observed, event.end, event.totals))
  }

  #deliverDrops(): void {
    const { drops } = this.#parts
    for (let reason = 0; reason < drops.size; reason++) {
      const count = drops.countOf(reason as DropReason)
      const packets = count - (this.#counts[reason] ?? 0)
      this.#counts[reason] = count
      if (packets === 0) continue
      const name = drops.nameOf(reason as DropReason)
      this.#deliver((observer) => observer.dropped?.(name, packets))
    }
  }

  #deliver(call: (observer: Observer) => void): void {
    for (const observer of this.#observers) {
      // An observer may have been removed by the one before.
      if (!this.#observers.includes(observer)) continue
      try {
        call(observer)
      } catch (error) {
        this.#parts.drops.count(this.#failedReason)
        this.#parts.failed(error, observer)
      }
    }
  }

  #remove(observer: Observer): void {
    this.#observers = this.#observers.filter((other) => other !== observer)
    if (this.isObserved) return
    this.#parts.flows.listener = undefined
    this.#events = []
    this.#refusals = 0
  }
}
