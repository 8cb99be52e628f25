/**
 * Flows and their two sides, as every protocol sees them. The implementation is in `@demiflow/flow`.
 *
 * A flow is built in stages, and each stage is a type of its own, so that a half-built flow can be neither found nor
 * handed to the host: allocated (`NewFlow`) → initiating side known (`InitiatedFlow`) → target side known
 * (`TargetedFlow`) → active (`FlowIndex`). At any stage before the last it can be cancelled.
 */
import type { Demiflow, InterfaceId } from "./demiflow.ts"
import type { FlowEndId } from "./flow-end.ts"
import type { RuleId } from "./verdict.ts"

declare const stage: unique symbol

/** An active flow: 0 to capacity - 1. */
export type FlowIndex = number & { readonly [stage]: "active" }
/** A flow that has a place and nothing else. Negative: the table is full. */
export type NewFlow = number & { readonly [stage]: "new" }
/** A flow whose initiating side is known. */
export type InitiatedFlow = number & { readonly [stage]: "initiated" }
/** A flow whose two sides are known, and that a lookup doesn't find yet. */
export type TargetedFlow = number & { readonly [stage]: "targeted" }

declare const sideBrand: unique symbol

/** One side of a flow: twice the flow's index, plus 1 for the target side. Negative: none. */
export type SideRef = number & { readonly [sideBrand]: true }

/** The result of a lookup that finds no side. */
export const NO_SIDE: SideRef = -1 as SideRef

/** The initiating side of a flow. */
export function initiatingSide(flow: FlowIndex | InitiatedFlow | TargetedFlow): SideRef {
  return (flow << 1) as SideRef
}

/** The target side of a flow. */
export function targetSide(flow: FlowIndex | InitiatedFlow | TargetedFlow): SideRef {
  return ((flow << 1) | 1) as SideRef
}

/** The flow that a side belongs to. */
export function flowOf(side: SideRef): FlowIndex {
  return (side >> 1) as FlowIndex
}

/** Crosses over to the other side of the same flow. */
export function oppositeSide(side: SideRef): SideRef {
  return (side ^ 1) as SideRef
}

/**
 * The part of a table's places, in sixteenths, that each kind of flow may fill: flows from outside are refused first,
 * then the guest's connectionless exchanges. The last places are reserved for its connections.
 */
export const PlaceShare = { fromOutside: 14, exchanges: 15, all: 16 } as const
/** One of {@link PlaceShare}. */
export type PlaceShareId = (typeof PlaceShare)[keyof typeof PlaceShare]

/** Hears of flows that begin and end, at once. */
export interface FlowTableListener {
  /** An active flow has its place. */
  opened(flow: FlowIndex): void
  /** An active flow is about to lose its place. */
  closed(flow: FlowIndex, end: FlowEndId): void
}

/** The flows of a stack, of all protocols. */
export interface FlowTable {
  readonly capacity: number
  /** Flows at any stage. */
  readonly size: number

  /**
   * Takes a place for a flow of the protocol with this handler number. Returns a negative number if the table is full,
   * or full for flows with this share, which is counted as a drop.
   *
   * @param handler `Components.handlerNumber`: the number that the stack gave the protocol's handler
   * @param protocol the IP protocol number, part of the key
   * @param share {@link PlaceShare.all} if absent
   */
  allocate(handler: number, protocol: number, share?: PlaceShareId): NewFlow
  /** Places that flows with this share may still take; 0 or negative if there are none. */
  room(share: PlaceShareId): number
  /** Records the initiating side. */
  initiate(flow: NewFlow, demiflow: Demiflow): InitiatedFlow
  /**
   * Records the target side.
   *
   * @param rule the rule that let the flow in; `NO_RULE` if absent
   */
  target(flow: InitiatedFlow, demiflow: Demiflow, rule?: RuleId): TargetedFlow
  /** Activates the flow: from now on it is found by its initiating side. */
  activate(flow: TargetedFlow): FlowIndex
  /** Makes the flow found by its target side too, whose demiflow must be complete by now. */
  makeTargetFindable(flow: FlowIndex): void
  /** Frees the place of a flow that was not activated. */
  cancel(flow: NewFlow | InitiatedFlow | TargetedFlow): void
  /**
   * Ends an active flow. Its index is not reused before {@link FlowTable.endTurn}; until then, its sides and its rule
   * can still be read.
   *
   * @param end why; `FlowEnd.done` if absent. Where the stack is ending flows itself, it knows better
   */
  release(flow: FlowIndex, end?: FlowEndId): void
  /** Hears of flows that begin and end. */
  listener: FlowTableListener | undefined

  /** Returns the side with this demiflow, or {@link NO_SIDE}. Does not allocate. */
  lookup(protocol: number, demiflow: Demiflow): SideRef
  /** Fills in `into` with a side's demiflow. */
  readSide(side: SideRef, into: Demiflow): void
  /** The interface of a side. */
  interfaceOf(side: SideRef): InterfaceId
  /** The IP protocol number given to `allocate`. */
  protocolOf(flow: FlowIndex): number
  /** The rule given to `target`. */
  ruleOf(flow: FlowIndex): RuleId
  /** The handler number given to `allocate`; -1 if the flow is not active. */
  handlerOf(flow: FlowIndex): number

  /** Requests the handler's `expire` once `deadline` (clock milliseconds) is reached; replaces an earlier request. */
  schedule(flow: FlowIndex, deadline: number): void
  /** Cancels the request. */
  unschedule(flow: FlowIndex): void
  /** Earliest time at which something may be due, in clock milliseconds; Infinity if nothing is scheduled. */
  nextDeadline(): number
  /**
   * Calls `visit` for flows that are due, after cancelling their requests. The number of flows in one call is limited,
   * so {@link FlowTable.nextDeadline} may still be in the past afterwards.
   */
  expire(now: number, visit: (flow: FlowIndex) => void): void
  /** Makes the places of released flows available again. Until then, events gathered earlier can't reach a new flow. */
  endTurn(): void
  /** Calls `visit` for each active flow. Costs a pass over the table: for shutdown and reports. */
  forEach(visit: (flow: FlowIndex) => void): void
}
