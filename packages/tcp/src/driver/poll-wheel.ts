import type { TcpConnection } from "./tcp-connection.ts"

/** A power of two: more milliseconds than any connection waits ahead. */
const SLOTS = 1024
const MASK = SLOTS - 1

/**
 * Connections in the order in which their correspondents are polled: a wheel with a slot for each millisecond, and a
 * linked list in each slot. Adding, moving and removing cost the same whatever the number of connections, and those
 * that aren't due cost nothing.
 *
 * Each list is a ring backwards: the first connection's predecessor is the last one, so that a slot is one word.
 *
 * The first connection of a slot is due first. That also holds if polls are so late that a slot has connections of a
 * later round of the wheel: those were added later, because none is added that far ahead.
 */
export class PollWheel {
  /** By slot; empty before the first connection. */
  readonly #first: (TcpConnection | undefined)[] = []
  #count = 0
  /** No connection is due before this, clock milliseconds. */
  #from = 0

  /** Schedules the poll of a connection, less than {@link SLOTS} milliseconds ahead, in place of its earlier one. */
  set(connection: TcpConnection, at: number): void {
    if (connection.pollAt === at) return
    this.clear(connection)
    connection.pollAt = at
    const slot = at & MASK
    while (this.#first.length < SLOTS) this.#first.push(undefined)
    const first = this.#first[slot]
    const last = first?.pollPrevious
    connection.pollPrevious = last ?? connection
    if (first === undefined) this.#first[slot] = connection
    else first.pollPrevious = connection
    if (last !== undefined) last.pollNext = connection
    if (this.#count++ === 0 || at < this.#from) this.#from = at
  }

  /** Removes the connection, if it is scheduled. */
  clear(connection: TcpConnection): void {
    const { pollAt, pollNext, pollPrevious } = connection
    if (pollAt < 0) return
    const slot = pollAt & MASK
    const first = this.#first[slot]
    if (first === connection) this.#first[slot] = pollNext
    else if (pollPrevious !== undefined) pollPrevious.pollNext = pollNext
    // The last one's predecessor is that of the first one.
    const after = pollNext ?? this.#first[slot]
    if (after !== undefined) after.pollPrevious = pollPrevious
    connection.pollNext = undefined
    connection.pollPrevious = undefined
    connection.pollAt = -1
    this.#count--
  }

  /** Removes and returns one that is due; undefined if there is none. */
  takeDue(now: number): TcpConnection | undefined {
    if (this.#count === 0) return undefined
    // A clock that leapt has passed all slots, however far it went.
    if (now - this.#from >= SLOTS) this.#from = now - MASK
    for (; this.#from <= now; this.#from++) {
      const connection = this.#first[this.#from & MASK]
      if (connection === undefined || connection.pollAt > now) continue
      this.clear(connection)
      return connection
    }
    return undefined
  }

  /**
   * Returns when the next one is due, or Infinity. Call it right after {@link PollWheel.takeDue} has returned
   * undefined.
   */
  next(): number {
    if (this.#count === 0) return Number.POSITIVE_INFINITY
    for (let at = this.#from; at < this.#from + SLOTS; at++) {
      if (this.#first[at & MASK] !== undefined) return at
    }
    return Number.POSITIVE_INFINITY
  }
}
