import type { TcpConnection } from "./connection.ts"

/** A power of two, more than any connection waits ahead in milliseconds. */
const SLOTS = 1024
const MASK = SLOTS - 1

/**
 * Connections in the order in which their correspondents are asked: a wheel with a slot for each millisecond, in which they
 * are chained. Whatever their number, adding, moving and taking out costs the same, and those that aren't due cost nothing.
 *
 * A slot's first one is due first, also when they are asked so late that a slot has some of a turn of the wheel later: those
 * were added later, because nobody is added as far ahead as that.
 */
export class PollWheel {
  readonly #first: (TcpConnection | undefined)[] = Array.from({ length: SLOTS }, () => undefined)
  readonly #last: (TcpConnection | undefined)[] = Array.from({ length: SLOTS }, () => undefined)
  #count = 0
  /** Nobody is to be asked before that, clock milliseconds. */
  #from = 0

  /** Has the connection asked at that time, less than {@link SLOTS} milliseconds ahead, and not at one said before. */
  set(connection: TcpConnection, at: number): void {
    if (connection.pollAt === at) return
    this.clear(connection)
    connection.pollAt = at
    const slot = at & MASK
    const previous = this.#last[slot]
    connection.pollPrevious = previous
    if (previous === undefined) this.#first[slot] = connection
    else previous.pollNext = connection
    this.#last[slot] = connection
    if (this.#count++ === 0 || at < this.#from) this.#from = at
  }

  /** Takes the connection out, if it is in here. */
  clear(connection: TcpConnection): void {
    const { pollAt, pollNext, pollPrevious } = connection
    if (pollAt < 0) return
    const slot = pollAt & MASK
    if (pollPrevious === undefined) this.#first[slot] = pollNext
    else pollPrevious.pollNext = pollNext
    if (pollNext === undefined) this.#last[slot] = pollPrevious
    else pollNext.pollPrevious = pollPrevious
    connection.pollNext = undefined
    connection.pollPrevious = undefined
    connection.pollAt = -1
    this.#count--
  }

  /** Takes out one that is due; undefined if there is none. */
  takeDue(now: number): TcpConnection | undefined {
    if (this.#count === 0) return undefined
    // A clock that leapt has passed over all slots, however far.
    if (now - this.#from >= SLOTS) this.#from = now - MASK
    for (; this.#from <= now; this.#from++) {
      const connection = this.#first[this.#from & MASK]
      if (connection === undefined || connection.pollAt > now) continue
      this.clear(connection)
      return connection
    }
    return undefined
  }

  /** When somebody is due next, or Infinity: right after {@link PollWheel.takeDue} has answered undefined. */
  next(): number {
    if (this.#count === 0) return Number.POSITIVE_INFINITY
    for (let at = this.#from; at < this.#from + SLOTS; at++) {
      if (this.#first[at & MASK] !== undefined) return at
    }
    return Number.POSITIVE_INFINITY
  }
}
