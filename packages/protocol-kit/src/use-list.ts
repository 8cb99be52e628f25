/** Items examined in one search: a limit on its time, whatever the guest does. */
const MOST_SEEN = 64

/** An item of a {@link UseList}. */
export interface Listed<T extends Listed<T>> {
  /** Clock milliseconds of the last use. */
  readonly lastActivity: number
  /** Kept by the list: the list that holds the item, its neighbours there, and its last use when it was added. */
  list: UseList<T> | undefined
  older: T | undefined
  newer: T | undefined
  listedAt: number
}

/**
 * Items that give way when something is scarce: in order of addition, or least recently used first.
 *
 * Using an item costs nothing here: a search moves items that were used since they were added to the end (as the clock
 * algorithm does for pages).
 */
export class UseList<T extends Listed<T>> {
  #oldest: T | undefined
  #newest: T | undefined
  #count = 0

  get count(): number {
    return this.#count
  }

  get oldest(): T | undefined {
    return this.#oldest
  }

  /** Moves the item to the end of this list, from whatever list holds it. */
  add(item: T): void {
    item.list?.remove(item)
    item.list = this
    item.listedAt = item.lastActivity
    item.older = this.#newest
    if (this.#newest === undefined) this.#oldest = item
    else this.#newest.newer = item
    this.#newest = item
    this.#count++
  }

  /** Removes the item; does nothing if another list holds it, or none. */
  remove(item: T): void {
    if (item.list !== this) return
    const older = item.older
    const newer = item.newer
    if (older === undefined) this.#oldest = newer
    else older.newer = newer
    if (newer === undefined) this.#newest = older
    else newer.older = older
    item.list = item.older = item.newer = undefined
    this.#count--
  }

  /**
   * Returns the least recently used of the items examined; `undefined` if the list is empty. Items passed over are
   * moved to the end. None is examined twice.
   */
  leastUsed(): T | undefined {
    let found: T | undefined
    let item = this.#oldest
    for (let left = Math.min(this.#count, MOST_SEEN); item !== undefined && left > 0; left--) {
      const next: T | undefined = item.newer
      if (item.lastActivity <= item.listedAt) return item
      if (found === undefined || item.lastActivity < found.lastActivity) found = item
      this.add(item)
      item = next
    }
    return found
  }
}
