import type { Guest } from "./guest.ts"
import type { Components } from "./plugin.ts"

/** What stands in a {@link WaitingList}: a flow, a listener. */
export interface Waiting {
  /** Kept by the list; false at first. */
  isWaiting: boolean
}

/** What a {@link WaitingList} needs of a stack. */
export interface WaitingSurroundings extends Pick<Components, "wakeAt"> {
  readonly guest: Pick<Guest, "isCongested">
}

/** Number of entries already carried on with that stay in the queue, as long as there are as many others. */
const COMPACT_AT = 256

/**
 * Flows that have more to pass on to the guest than there was time or room for.
 *
 * The events of sockets come only once for a change. A handler that leaves something in a socket notes it down here, and is
 * called again when its turn comes: the one that has waited longest first, each once in a turn. While the guest is
 * congested nobody is called and no time is asked for: {@link ProtocolHandler.resume} is what goes on then.
 *
 * A handler has one list, as it has one {@link Components.wakeAt}, and calls {@link WaitingList.carryOn} in its `tick`,
 * `resume` and `start`.
 */
export class WaitingList<Source extends Waiting> {
  readonly #components: WaitingSurroundings
  readonly #carryOnWith: (source: Source) => void
  readonly #queue: Source[] = []
  /** Where the queue begins. */
  #head = 0
  #wakeAt = Number.POSITIVE_INFINITY

  /** @param carryOnWith what has waited: it may have ended meanwhile, and may wait again */
  constructor(components: WaitingSurroundings, carryOnWith: (source: Source) => void) {
    this.#components = components
    this.#carryOnWith = carryOnWith
  }

  /** Has the source wait. @param until clock milliseconds; another one's earlier time serves this one too */
  wait(source: Source, until: number): void {
    if (until < this.#wakeAt && !this.#components.guest.isCongested) {
      this.#wakeAt = until
      this.#components.wakeAt(until)
    }
    if (source.isWaiting) return
    source.isWaiting = true
    this.#queue.push(source)
  }

  /** Carries on with those who wait now, until the guest is congested. */
  carryOn(): void {
    this.#wakeAt = Number.POSITIVE_INFINITY
    const end = this.#queue.length
    while (this.#head < end && !this.#components.guest.isCongested) {
      const source = this.#queue[this.#head++]
      source.isWaiting = false
      this.#carryOnWith(source)
    }
    this.#compact()
  }

  #compact(): void {
    const queue = this.#queue
    const left = queue.length - this.#head
    // Moving the others up costs no more than those have cost that make room.
    if (left > 0 && (this.#head < COMPACT_AT || this.#head < left)) return
    queue.copyWithin(0, this.#head)
    queue.length -= this.#head
    this.#head = 0
  }
}
