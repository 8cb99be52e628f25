import type { Components, Guest } from "@demiflow/core"
import { Queue } from "./queue.ts"

/** An entry of a {@link WaitingList}: a flow, a port. */
export interface Waiting {
  /** Kept by the list; false at first. */
  isWaiting: boolean
  /** True if what the entry delivers may be for the guest's link: it isn't called while the guest is congested. */
  readonly needsGuest: boolean
}

/** What a {@link WaitingList} needs from a stack. */
export interface WaitingSurroundings extends Pick<Components, "wakeAt"> {
  readonly guest: Pick<Guest, "isCongested">
}

/**
 * Flows that have more to deliver than there was time or room for.
 *
 * A socket reports a change by one event only. A handler that leaves something in a socket therefore adds its flow
 * here, and is called again in turn: the flow that has waited longest first, each once in a turn. While the guest is
 * congested, no flow that needs it is called, and no time is requested for one: `ProtocolHandler.resume` carries on.
 *
 * A handler calls {@link WaitingList.tick} in its `tick`, and {@link WaitingList.resume} in its `resume` and `start`.
 * It has one {@link Components.wakeAt}, so it has one list, or passes each of several a function that keeps the
 * earliest time.
 */
export class WaitingList<Source extends Waiting> {
  readonly #components: WaitingSurroundings
  readonly #carryOnWith: (source: Source) => void
  readonly #forGuest = new Queue<Source>()
  readonly #others = new Queue<Source>()
  #wakeAt = Number.POSITIVE_INFINITY

  /** @param carryOnWith called with a flow that has waited: it may have ended meanwhile, and may wait again */
  constructor(components: WaitingSurroundings, carryOnWith: (source: Source) => void) {
    this.#components = components
    this.#carryOnWith = carryOnWith
  }

  /**
   * Adds the source to the list.
   *
   * @param until clock milliseconds; an earlier time of another source serves this one too
   */
  wait(source: Source, until: number): void {
    const { guest } = this.#components
    if (until < this.#wakeAt && !(source.needsGuest && guest.isCongested)) {
      this.#wakeAt = until
      this.#components.wakeAt(until)
    }
    if (source.isWaiting) return
    source.isWaiting = true
    if (source.needsGuest) this.#forGuest.push(source)
    else this.#others.push(source)
  }

  /**
   * Carries on with the sources that wait now: the time has come. Stops at those for the guest once it is congested.
   */
  tick(): void {
    this.#wakeAt = Number.POSITIVE_INFINITY
    this.#carryOn(this.#others, NEVER_CONGESTED)
    this.resume()
  }

  /** Carries on with the sources for the guest that wait now: its link takes frames again. */
  resume(): void {
    this.#carryOn(this.#forGuest, this.#components.guest)
  }

  #carryOn(queue: Queue<Source>, guest: Pick<Guest, "isCongested">): void {
    for (let left = queue.count; left > 0 && !guest.isCongested; left--) {
      const source = queue.shift()
      if (source === undefined) return
      source.isWaiting = false
      this.#carryOnWith(source)
    }
  }
}

const NEVER_CONGESTED = { isCongested: false }
