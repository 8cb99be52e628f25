import type { Clock } from "@demiflow/core"

/** Sockets that are opened in a turn, … */
const IN_A_TURN = 4
/** … and while many connections are unanswered or wait. */
const IN_A_BUSY_TURN = 1
/** Part of the time that opening may take then. */
const SHARE = 1 / 4
/** Time that may be taken at once after a while without, and that may be owed, microseconds. */
const BURST = 500
const MOST_DEBT = 2_000
/** What opening a socket is taken to cost where the clock doesn't say, microseconds. */
const COST = 50

/**
 * How fast sockets are opened for connections of the guest. Opening one takes the host as long as many packets take. So a turn opens a
 * few. While many connections are unanswered or wait, as in a flood of SYNs, it opens one, and a part of the time is left for all of
 * them.
 */
export class OpeningPace {
  readonly #clock: Clock
  #opened = 0
  /** Microseconds that opening may take, … */
  #credit = BURST
  /** … at this time, clock milliseconds. */
  #at = 0
  #begunAt = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** True if a socket may be opened now: then it counts as opened. */
  take(isBusy: boolean): boolean {
    if (this.#opened >= (isBusy ? IN_A_BUSY_TURN : IN_A_TURN)) return false
    if (isBusy && !this.#hasCredit()) return false
    this.#opened++
    return true
  }

  #hasCredit(): boolean {
    const { now } = this.#clock
    if (now !== this.#at) {
      this.#credit = Math.min(this.#credit + (now - this.#at) * 1000 * SHARE, BURST)
      this.#at = now
    }
    return this.#credit > 0
  }

  /** What costs time begins: to open a socket, or to close one in its favour. */
  begin(): void {
    this.#begunAt = this.#spent
  }

  /** It has ended. */
  end(): void {
    const cost = this.#clock.spent === undefined ? COST : this.#spent - this.#begunAt
    this.#credit = Math.max(this.#credit - cost, -MOST_DEBT)
  }

  /** When the next one may be opened at the earliest, clock milliseconds. Call it at the end of a turn. */
  nextAt(isBusy: boolean): number {
    const { now } = this.#clock
    return isBusy && this.#credit <= 0 ? now + Math.floor(-this.#credit / (1000 * SHARE)) + 1 : now
  }

  endTurn(): void {
    this.#opened = 0
  }

  get #spent(): number {
    return this.#clock.spent?.() ?? 0
  }
}
