/**
 * Observers: what happens to the flows of a stack, for programs that show, record or steer it.
 *
 * Events are delivered at the end of the turn in which they happen, in their order, before the places of ended flows
 * become free. So an observer may do anything: end a flow, add or remove an observer, itself included. An observer that
 * throws is counted (`stack: observer failed`) and logged at most once a second, and the stack carries on. Without an
 * observer, nothing is recorded.
 */
import type { Demiflow } from "./demiflow.ts"
import type { FlowEndId } from "./flow-end.ts"
import type { FlowIndex } from "./flow-table.ts"
import type { RuleId, Verdict } from "./verdict.ts"

/** A flow, as observers see it. Valid during the call. */
export interface ObservedFlow {
  /** Not another flow's before the event that this one is closed. */
  readonly flow: FlowIndex
  /** IP protocol number. */
  readonly protocol: number
  /** Name of its handler. */
  readonly handler: string
  readonly initiating: Readonly<Demiflow>
  readonly target: Readonly<Demiflow>
  /** The policy's rule that let it in. */
  readonly rule: RuleId
}

/** A flow that the policy didn't let in, as observers see it. Valid during the call. */
export interface ObservedRefusal {
  /** IP protocol number. */
  readonly protocol: number
  readonly initiating: Readonly<Demiflow>
  readonly verdict: typeof Verdict.refuse | typeof Verdict.drop
  /** The policy's rule that decided. */
  readonly rule: RuleId
  /** The reason under which its packets are counted. */
  readonly reason: string
}

/**
 * What a flow has carried since it began, as far as its protocol knows. What is dropped on the way to the guest or the
 * host counts as well.
 */
export interface FlowTotals {
  /** Packets of the guest; datagrams that an offload has coalesced count each. */
  readonly packetsFromGuest?: number
  readonly packetsToGuest?: number
  /**
   * Bytes of payload, without the headers of the protocol. TCP counts each byte once, however often it was sent, and no
   * packets: what was accepted from the guest, and what was sent to it, if there was an observer when the connection
   * began.
   */
  readonly bytesFromGuest?: number
  readonly bytesToGuest?: number
}

/** Hears of events. Each method is optional. */
export interface Observer {
  /** A flow has begun. */
  opened?(flow: ObservedFlow): void
  /**
   * A flow is in another state now. Its protocol names the states: TCP those of its guest's side, on the local path
   * `established`, then `closeWait` or `finWait1` once the guest or the host has ended; UDP `answered` and
   * `conversation`; echo `answered`.
   */
  changed?(flow: ObservedFlow, state: string): void
  /** A flow has ended. */
  closed?(flow: ObservedFlow, end: FlowEndId, totals: FlowTotals): void
  /** The policy has refused or dropped a flow. */
  refused?(refusal: ObservedRefusal): void
  /** Packets were dropped in this turn: their number and the reason, as in `Drops`. Once a turn for each reason. */
  dropped?(reason: string, packets: number): void
}

/** Where handlers report what only they know. */
export interface FlowReports {
  /** False while there is no observer: then nothing needs to be reported. */
  readonly isObserved: boolean
  /** Reports that an active flow is in another state now. */
  changed(flow: FlowIndex, state: string): void
}
