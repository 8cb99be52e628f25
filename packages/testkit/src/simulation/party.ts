import { patternBytes } from "../packets/layer.ts"
import type { SeededRandom } from "../seeded-random.ts"
import type { VirtualClock, VirtualTimer } from "../virtual-clock.ts"

/** The calls of a connection at either end. */
export interface ConnectionEnd {
  onData: ((bytes: Uint8Array) => void) | undefined
  onEnd: (() => void) | undefined
  readonly isEnded: boolean
  readonly received: Uint8Array
  readonly receivedLength: number
  write(bytes: Uint8Array): void
  end(): void
  reset(): void
  pause(): void
  resume(): void
  take(length: number): number
}

/** The plan of one party of a connection. */
export interface PartyPlan {
  /** Bytes that the party sends. */
  readonly bytes: number
  /** The number of pieces in which they are written. */
  readonly pieces: number
  /** Maximum milliseconds between these. */
  readonly pause: number
  /** True if the party ends only after the other one has. */
  readonly endsLast: boolean
  /** Milliseconds after which the party resets the connection, if it does. */
  readonly resetAfter: number | undefined
  /** For a slow reader: bytes at a time, and milliseconds between. */
  readonly slowReading: { readonly bytes: number; readonly interval: number } | undefined
  /** The start of the stream's pattern, so that streams differ. */
  readonly pattern: number
}

/** Draws a party's plan. Slow readers take about a minute for `expected` bytes. */
export function drawPlan(random: SeededRandom, expected: number, bytes: number, endsLast: boolean): PartyPlan {
  const isSlow = random.chance(0.3)
  const reads = random.between(1, 60)
  return {
    bytes,
    pieces: random.pick([1, 1, 3, 20]),
    pause: random.pick([0, 5, 300]),
    endsLast,
    resetAfter: random.chance(0.12) ? random.below(2_000) : undefined,
    slowReading: isSlow
      ? { bytes: Math.max(1, Math.ceil(expected / reads)), interval: random.between(1, 1_000) }
      : undefined,
    pattern: random.below(100_000),
  }
}

/** One party of a connection, which carries out its plan. */
export class Party {
  readonly plan: PartyPlan
  readonly #clock: VirtualClock
  readonly #random: SeededRandom
  readonly #end: ConnectionEnd
  #written = 0
  #timers: VirtualTimer[] = []
  #isDone = false

  constructor(plan: PartyPlan, clock: VirtualClock, random: SeededRandom, end: ConnectionEnd) {
    this.plan = plan
    this.#clock = clock
    this.#random = random
    this.#end = end
    end.onEnd = () => this.#maybeEnd()
    if (plan.slowReading !== undefined) {
      end.pause()
      this.#readSlowly()
    }
    if (plan.resetAfter !== undefined) this.#later(plan.resetAfter, () => end.reset())
    this.#writeNext()
  }

  /** Everything that this party sends. */
  get content(): Uint8Array {
    return patternBytes(this.plan.bytes, this.plan.pattern)
  }

  /** Notes that the connection is gone: the party does nothing more. */
  stop(): void {
    this.#isDone = true
    for (const timer of this.#timers) timer.cancel()
  }

  #writeNext(): void {
    const { bytes, pieces, pattern, pause } = this.plan
    const rest = bytes - this.#written
    if (rest <= 0) {
      this.#maybeEnd()
      return
    }
    const piece = Math.min(rest, Math.max(1, Math.ceil(bytes / pieces)))
    this.#end.write(patternBytes(piece, pattern + this.#written))
    this.#written += piece
    if (this.#written >= bytes || pause === 0) this.#writeNext()
    else this.#later(this.#random.below(pause + 1), () => this.#writeNext())
  }

  #maybeEnd(): void {
    if (this.#written < this.plan.bytes) return
    if (!this.plan.endsLast || this.#end.isEnded) this.#end.end()
  }

  #readSlowly(): void {
    const { slowReading } = this.plan
    if (slowReading === undefined || this.#end.isEnded) return
    this.#later(slowReading.interval, () => {
      this.#end.take(slowReading.bytes)
      this.#readSlowly()
    })
  }

  #later(delay: number, callback: () => void): void {
    if (this.#isDone) return
    this.#timers = this.#timers.filter((timer) => timer.deadline >= this.#clock.now)
    this.#timers.push(
      this.#clock.schedule(delay, () => {
        if (!this.#isDone) callback()
      }),
    )
  }
}
