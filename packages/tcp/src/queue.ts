const FIRST_CAPACITY = 16

/** What waits, in the order in which its turn comes: a ring, which grows and does not allocate otherwise. */
export class Queue<Item> {
  #items: (Item | undefined)[] = Array.from({ length: FIRST_CAPACITY }, () => undefined)
  #first = 0
  count = 0

  push(item: Item): void {
    if (this.count === this.#items.length) this.#grow()
    this.#items[(this.#first + this.count++) & (this.#items.length - 1)] = item
  }

  /** Takes out the one that has waited longest. */
  shift(): Item | undefined {
    if (this.count === 0) return undefined
    const item = this.#items[this.#first]
    this.#first = (this.#first + 1) & (this.#items.length - 1)
    this.count--
    return item
  }

  #grow(): void {
    const items = this.#items
    const { length } = items
    // What wraps around moves behind the others. All are copied at worst, but it doubles: that is about once for each item.
    for (let index = 0; index < this.#first; index++) items.push(items[index])
    for (let index = items.length; index < length * 2; index++) items.push(undefined)
  }
}
