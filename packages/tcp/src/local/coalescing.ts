import type { Pipes } from "@demiflow/core"
import type { Direction } from "./direction.ts"
import type { SplicedConnection } from "./spliced-connection.ts"

/** Bytes moved one way, with none the other way in between, that make it likely that many more come. */
const MUCH = 4 << 20
/** From how many bytes on its socket then speaks up. */
const LOW_WATERMARK = 256 * 1024
/** How long less than that may wait, milliseconds. */
const LONGEST_WAIT = 1

/**
 * Directions on which so much is on its way that their sockets are told to speak up only when a fair amount is there, instead
 * of with each segment. So that the end of a message doesn't wait for the beginning of the next, all of them are looked at
 * after a moment; those on which little came meanwhile are as the others again. Who takes turns in talking is left alone: the
 * other end may be waiting for just the end of the message.
 */
export class Coalescing {
  readonly #pipes: Pipes
  readonly #connections: SplicedConnection[] = []
  /** Of these, how many count: an array that is made shorter would be made anew when it grows. */
  #count = 0
  /** When they are looked at next, clock milliseconds; Infinity if there are none. */
  nextLook: number = Number.POSITIVE_INFINITY

  constructor(pipes: Pipes) {
    this.#pipes = pipes
  }

  /** Notes that a direction moved so many bytes. True if a look is due that was not before. */
  note(connection: SplicedConnection, direction: Direction, bytes: number, now: number): boolean {
    if (bytes === 0) return false
    const other = direction === connection.forth ? connection.back : connection.forth
    other.bytesInARow = 0
    direction.bytesInARow += bytes
    direction.recentBytes += bytes
    if (direction.isCoalescing || direction.bytesInARow < MUCH || direction.hasEnded) return false
    if (this.#pipes.setLowWatermark(direction.from, LOW_WATERMARK) < 0) return false
    direction.isCoalescing = true
    this.#list(connection)
    if (this.nextLook !== Number.POSITIVE_INFINITY) return false
    this.nextLook = now + LONGEST_WAIT
    return true
  }

  /** Looks at them if it is time; answers when it is next. */
  tick(now: number, look: (connection: SplicedConnection) => void): number {
    if (this.nextLook > now) return this.nextLook
    const looked = this.#count
    let kept = 0
    for (let index = 0; index < looked; index++) {
      const connection = this.#connections[index]
      // One that has ended meanwhile may be another by now: looking does no harm.
      if (connection.flow >= 0) look(connection)
      this.#judge(connection.forth)
      this.#judge(connection.back)
      connection.isCoalescing = connection.flow >= 0 && (connection.forth.isCoalescing || connection.back.isCoalescing)
      if (connection.isCoalescing) this.#connections[kept++] = connection
    }
    // Those that came while others were looked at.
    for (let index = looked; index < this.#count; index++) this.#connections[kept++] = this.#connections[index]
    this.#count = kept
    this.nextLook = kept > 0 ? now + LONGEST_WAIT : Number.POSITIVE_INFINITY
    return this.nextLook
  }

  #list(connection: SplicedConnection): void {
    if (connection.isCoalescing) return
    connection.isCoalescing = true
    if (this.#count < this.#connections.length) this.#connections[this.#count] = connection
    else this.#connections.push(connection)
    this.#count++
  }

  #judge(direction: Direction): void {
    const goesOn = direction.recentBytes >= LOW_WATERMARK && direction.bytesInARow >= MUCH && !direction.hasEnded
    direction.recentBytes = 0
    if (!direction.isCoalescing || goesOn) return
    direction.isCoalescing = false
    direction.bytesInARow = 0
    this.#pipes.setLowWatermark(direction.from, 1)
  }
}
