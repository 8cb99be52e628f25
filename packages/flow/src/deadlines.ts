/**
 * Deadlines of flows: a binary heap over flow indices, in arrays that grow only with the table. Reading the earliest
 * costs nothing, a change costs the logarithm of the number of deadlines, and nothing passes over all flows.
 */
export class Deadlines {
  #at: Float64Array
  /** Heap of flow indices. */
  #heap: Int32Array
  /** Place of a flow in the heap, plus one; 0 if it has no deadline. */
  #place: Int32Array
  #size = 0

  constructor(capacity: number) {
    this.#at = new Float64Array(capacity)
    this.#heap = new Int32Array(capacity)
    this.#place = new Int32Array(capacity)
  }

  /** Makes room for the deadlines of more flows. Throws `RangeError`, and changes nothing, if there is no memory. */
  grow(capacity: number): void {
    const at = new Float64Array(capacity)
    const heap = new Int32Array(capacity)
    const place = new Int32Array(capacity)
    at.set(this.#at)
    heap.set(this.#heap)
    place.set(this.#place)
    this.#at = at
    this.#heap = heap
    this.#place = place
  }

  get size(): number {
    return this.#size
  }

  /** Returns the earliest deadline, or Infinity. */
  earliest(): number {
    return this.#size === 0 ? Number.POSITIVE_INFINITY : this.#at[this.#heap[0]]
  }

  /** Sets or replaces a flow's deadline. */
  set(flow: number, at: number): void {
    this.#at[flow] = at
    let place = this.#place[flow] - 1
    if (place < 0) {
      place = this.#size++
      this.#heap[place] = flow
      this.#place[flow] = place + 1
    }
    this.#settle(place)
  }

  /** Removes a flow's deadline, if it has one. */
  clear(flow: number): void {
    const place = this.#place[flow] - 1
    if (place < 0) return
    this.#place[flow] = 0
    const last = this.#heap[--this.#size]
    if (last === flow) return
    this.#heap[place] = last
    this.#place[last] = place + 1
    this.#settle(place)
  }

  /** Removes and returns a flow whose deadline is at or before `now`; -1 if there is none. */
  takeDue(now: number): number {
    if (this.#size === 0) return -1
    const flow = this.#heap[0]
    if (this.#at[flow] > now) return -1
    this.clear(flow)
    return flow
  }

  #settle(start: number): void {
    const flow = this.#heap[start]
    const at = this.#at[flow]
    let place = start
    while (place > 0) {
      const parent = (place - 1) >> 1
      if (this.#at[this.#heap[parent]] <= at) break
      this.#move(this.#heap[parent], place)
      place = parent
    }
    for (;;) {
      let child = place * 2 + 1
      if (child >= this.#size) break
      if (child + 1 < this.#size && this.#at[this.#heap[child + 1]] < this.#at[this.#heap[child]]) child++
      if (this.#at[this.#heap[child]] >= at) break
      this.#move(this.#heap[child], place)
      place = child
    }
    this.#move(flow, place)
  }

  #move(flow: number, place: number): void {
    this.#heap[place] = flow
    this.#place[flow] = place + 1
  }
}
