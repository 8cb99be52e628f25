import { type Components, type Waiting, WaitingList } from "@demiflow/core"

/** A source that waits, and for what. */
export interface WaitingSource extends Waiting {
  /** Whether what it passes on may be for the guest's link: it is left alone then while the guest is congested. */
  readonly needsGuest: boolean
}

/** Where a source waits for its next turn. */
export interface WaitingPlace<Source> {
  /** Has the source wait. @param until clock milliseconds; another one's earlier time serves this one too */
  wait(source: Source, until: number): void
}

const NEVER_CONGESTED = { isCongested: false }

/**
 * Sources that have more to pass on than there was time or room for. What goes by the local path doesn't wait for the guest:
 * there are two lists, which share the one time at which the handler is called.
 */
export class WaitingSources<Source extends WaitingSource> implements WaitingPlace<Source> {
  readonly #components: Components
  readonly #forGuest: WaitingList<Source>
  readonly #local: WaitingList<Source>
  #wakeAt = Number.POSITIVE_INFINITY

  /** @param carryOnWith what has waited: it may have ended meanwhile, and may wait again */
  constructor(components: Components, carryOnWith: (source: Source) => void) {
    const wakeAt = (deadline: number) => this.#request(deadline)
    this.#components = components
    this.#forGuest = new WaitingList({ guest: components.guest, wakeAt }, carryOnWith)
    this.#local = new WaitingList({ guest: NEVER_CONGESTED, wakeAt }, carryOnWith)
  }

  wait(source: Source, until: number): void {
    if (source.needsGuest) this.#forGuest.wait(source, until)
    else this.#local.wait(source, until)
  }

  /** The time has come. */
  tick(): void {
    this.#wakeAt = Number.POSITIVE_INFINITY
    this.#local.carryOn()
    this.#forGuest.carryOn()
  }

  /** The guest's link takes frames again. */
  resume(): void {
    this.#forGuest.carryOn()
  }

  #request(deadline: number): void {
    if (deadline >= this.#wakeAt) return
    this.#wakeAt = deadline
    this.#components.wakeAt(deadline)
  }
}
