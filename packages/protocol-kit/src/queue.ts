const FIRST_CAPACITY = 16

/** A first-in, first-out queue: a ring buffer, which allocates only to grow. */
export class Queue<Item> {
  #items: (Item | undefined)[] = Array.from({ length: FIRST_CAPACITY }, () => undefined)
  #first = 0
  count = 0

  push(item: Item): void {
    if (this.count === this.#items.length) this.#grow()
    this.#items[(this.#first + this.count++) & (this.#items.length - 1)] = item
  }

  /** Removes and returns the item that has waited longest. */
  shift(): Item | undefined {
    if (this.count === 0) return undefined
    const item = this.#items[this.#first]
    this.#items[this.#first] = undefined
    this.#first = (this.#first + 1) & (this.#items.length - 1)
    this.count--
    return item
  }

  #grow(): void {
    const items = this.#items
    const { length } = items
    // What wraps around moves behind the others. At worst all items are copied, but the size doubles: amortised O(1).
    for (let index = 0; index < this.#first; index++) items.push(items[index])
    for (let index = items.length; index < length * 2; index++) items.push(undefined)
  }
}
