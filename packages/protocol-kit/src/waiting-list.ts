import type { Components, Guest } from "@demiflow/core"

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

/** The consumed prefix is removed once it has this many entries and is at least half of the array: amortised O(1). */
const COMPACT_AT = 256

/**
 * Flows that have more to deliver than there was time or room for.
 *
 * A socket reports a change by one event only. A handler that leaves something in a socket therefore adds its flow
 * here, and is called again in turn: the flow that has waited longest first, each once in a turn. While the guest is
 * congested, no flow that needs it is called, and no time is requested for one: `ProtocolHandler.resume` carries on.
 *
 * A handler has one list, as it has one {@link Components.wakeAt}. It calls {@link WaitingList.tick} in its `tick`, and
 * {@link WaitingList.resume} in its `resume` and `start`.
 */
export class WaitingList<Source extends Waiting> {
  readonly #components: WaitingSurroundings
  readonly #carryOnWith: (source: Source) => void
  readonly #forGuest = new Line<Source>()
  readonly #others = new Line<Source>()
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
    if (source.needsGuest) this.#forGuest.add(source)
    else this.#others.add(source)
  }

  /**
   * Carries on with the sources that wait now: the time has come. Stops at those for the guest once it is congested.
   */
  tick(): void {
    this.#wakeAt = Number.POSITIVE_INFINITY
    this.#others.carryOn(this.#carryOnWith, NEVER_CONGESTED)
    this.resume()
  }

  /** Carries on with the sources for the guest that wait now: its link takes frames again. */
  resume(): void {
    this.#forGuest.carryOn(this.#carryOnWith, this.#components.guest)
  }
}

const NEVER_CONGESTED = { isCongested: false }

/** Sources in the order in which they began to wait. */
class Line<Source extends Waiting> {
  readonly #queue: Source[] = []
  /** Index of the first entry that still waits. */
  #head = 0

  add(source: Source): void {
    this.#queue.push(source)
  }

  carryOn(carryOnWith: (source: Source) => void, guest: Pick<Guest, "isCongested">): void {
    const end = this.#queue.length
    while (this.#head < end && !guest.isCongested) {
      const source = this.#queue[this.#head++]
      source.isWaiting = false
      carryOnWith(source)
    }
    this.#compact()
  }

  #compact(): void {
    const queue = this.#queue
    const left = queue.length - this.#head
    // Moving the rest costs no more than adding the removed entries did.
    if (this.#head === 0 || (left > 0 && (this.#head < COMPACT_AT || this.#head < left))) return
    queue.copyWithin(0, this.#head)
    queue.length -= this.#head
    this.#head = 0
  }
}
