import {
  type Components,
  type FlowIndex,
  type NewFlow,
  PlaceShare,
  type PlaceShareId,
  type Socket,
} from "@demiflow/core"
import { type Listed, UseList } from "./use-list.ts"

/**
 * Milliseconds within which a correspondent usually replies. A more recently used flow gives way only if nothing else
 * can, or if it is one of too many.
 */
export const FAIR_TIME = 1_000

/** A flow that may be in a list: it gives up its place in the flow table. */
export interface MayGiveWay extends Listed<MayGiveWay> {
  readonly flow: FlowIndex
}

/** The owner of a socket, which may be in a list: it gives up the socket, with all flows that share it. */
export interface SocketHolder extends Listed<SocketHolder> {
  readonly socket: Socket
}

/**
 * Candidates for giving way, separated by whether a correspondent has replied. Each list yields the one idle longest.
 */
export class Candidates<T extends Listed<T>> {
  readonly unanswered: UseList<T> = new UseList<T>()
  readonly answered: UseList<T> = new UseList<T>()

  /**
   * Returns the unanswered one idle longest, if it has had {@link FAIR_TIME}. If the unanswered outnumber the answered,
   * it gives way even earlier: a flood takes its places from itself.
   */
  waitedInVain(now: number): T | undefined {
    const item = this.unanswered.leastUsed()
    return this.unanswered.count > this.answered.count ? item : restingSince(now - FAIR_TIME, item)
  }

  /** Returns the answered one idle longest, if it was last used at or before `before`, clock milliseconds. */
  resting(before: number): T | undefined {
    return restingSince(before, this.answered.leastUsed())
  }

  /** Returns the one idle longest, answered or not. */
  leastUsed(): T | undefined {
    return longerResting(this.unanswered.leastUsed(), this.answered.leastUsed())
  }
}

/** Returns the one that has been idle longer, or `one` in a tie. */
export function longerResting<T extends { readonly lastActivity: number }>(
  one: T | undefined,
  other: T | undefined,
): T | undefined {
  if (one === undefined || other === undefined) return one ?? other
  return other.lastActivity < one.lastActivity ? other : one
}

/** Returns the item if it was not used after `before`, clock milliseconds. */
export function restingSince<T extends { readonly lastActivity: number }>(
  before: number,
  item: T | undefined,
): T | undefined {
  return item !== undefined && item.lastActivity <= before ? item : undefined
}

/**
 * Takes a place in the flow table. If the share has none left, a flow of any protocol that can be spared gives way, and
 * the new one takes its place. Returns a negative number if there is none, which is counted.
 *
 * @param protocol IP protocol number
 * @param lastResort ends a flow if none can be spared; returns false if that fails too
 */
export function takePlace(
  components: Pick<Components, "flows" | "handlerNumber" | "makeRoom">,
  protocol: number,
  share: PlaceShareId,
  lastResort: (() => boolean) | undefined = undefined,
): NewFlow {
  const { flows, handlerNumber } = components
  // In a full table, the place of a flow that ends now is free only in the next turn.
  const isStuck = flows.room(share) <= 0 && flows.room(PlaceShare.all) > 0
  const isExchange = isStuck && (components.makeRoom(share) || lastResort?.() === true)
  return flows.allocate(handlerNumber, protocol, isExchange ? PlaceShare.all : share)
}
