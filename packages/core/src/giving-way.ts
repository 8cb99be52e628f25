import type { FlowIndex, NewFlow, PlaceShareId } from "./flow-table.ts"
import { PlaceShare } from "./flow-table.ts"
import type { Socket } from "./host.ts"
import type { Components } from "./plugin.ts"
import { type Listed, UseList } from "./use-list.ts"

/**
 * Milliseconds in which a correspondent usually has answered: what was used more lately gives way only where nothing else
 * can, or where it is one of too many.
 */
export const FAIR_TIME = 1_000

/** A flow that may stand in a list: its place in the flow table is what it gives. */
export interface MayGiveWay extends Listed<MayGiveWay> {
  readonly flow: FlowIndex
}

/** What has a socket of its own, and may stand in a list: the socket is what it gives, with all flows that share it. */
export interface SocketHolder extends Listed<SocketHolder> {
  readonly socket: Socket
}

/** What may give way, apart by whether a correspondent has answered: of each the one that has rested longest. */
export class Candidates<T extends Listed<T>> {
  readonly unanswered: UseList<T> = new UseList<T>()
  readonly answered: UseList<T> = new UseList<T>()

  /**
   * The unanswered one that has rested longest, if it had a fair time to be answered. Where the unanswered are more than the
   * answered, it gives way even before: a flood takes its places from itself.
   */
  waitedInVain(now: number): T | undefined {
    const item = this.unanswered.leastUsed()
    return this.unanswered.count > this.answered.count ? item : restingSince(now - FAIR_TIME, item)
  }

  /** The answered one that has rested longest, if it has since `before`, clock milliseconds. */
  resting(before: number): T | undefined {
    return restingSince(before, this.answered.leastUsed())
  }

  /** The one that has rested longest, answered or not. */
  leastUsed(): T | undefined {
    return longerResting(this.unanswered.leastUsed(), this.answered.leastUsed())
  }
}

/** The one that has rested longer, or `one` if both have rested as long. */
export function longerResting<T extends { readonly lastActivity: number }>(
  one: T | undefined,
  other: T | undefined,
): T | undefined {
  if (one === undefined || other === undefined) return one ?? other
  return other.lastActivity < one.lastActivity ? other : one
}

/** The item, if it was not used after `before`, clock milliseconds. */
export function restingSince<T extends { readonly lastActivity: number }>(
  before: number,
  item: T | undefined,
): T | undefined {
  return item !== undefined && item.lastActivity <= before ? item : undefined
}

/**
 * Takes a place of the flow table. Where the share has none left, a flow gives way that can be spared, of any protocol that
 * gives places, and the new one has its place. The answer is negative if there is none, which is counted.
 *
 * @param protocol IP protocol number
 * @param lastResort ends a flow where none can be spared; false if there is none either
 */
export function takePlace(
  components: Pick<Components, "flows" | "handlerNumber" | "makeRoom">,
  protocol: number,
  share: PlaceShareId,
  lastResort: (() => boolean) | undefined = undefined,
): NewFlow {
  const { flows, handlerNumber } = components
  // In a full table, the place of a flow that ends now is free in the next turn.
  const isStuck = flows.room(share) <= 0 && flows.room(PlaceShare.all) > 0
  const isExchange = isStuck && (components.makeRoom(share) || lastResort?.() === true)
  return flows.allocate(handlerNumber, protocol, isExchange ? PlaceShare.all : share)
}
