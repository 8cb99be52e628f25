/** How many are seen in one search: whatever a guest does, that takes microseconds. */
const MOST_SEEN = 64

/** What may stand in a list. */
export interface Listed<T extends Listed<T>> {
  /** Clock milliseconds of its last use. */
  readonly lastActivity: number
  /** Where it stands, its neighbours there, and its last use when it was put there: kept by the list. */
  list: UseList<T> | undefined
  older: T | undefined
  newer: T | undefined
  listedAt: number
}

/**
 * What gives way where something is scarce: what was added longest ago first, or what was used longest ago.
 *
 * Use costs nothing here: what was used since it was added is put at the end when a search comes by (as in the clock algorithm for
 * pages).
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

  /** Puts it at the end of this list, wherever it stood before. */
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

  /** Does nothing for one that doesn't stand here. */
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
   * What was used longest ago of those that a search sees; `undefined` if the list is empty. What it passes over is put at the end. It
   * sees none twice.
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
