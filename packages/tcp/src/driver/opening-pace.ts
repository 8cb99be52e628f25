import type { Clock } from "@demiflow/core"

/** Sockets that are opened in a turn, normally and while many connections are unanswered or wait. */
const IN_A_TURN = 4
const IN_A_BUSY_TURN = 1
/** Part of the time that opening may take in the latter case. */
const SHARE = 1 / 4
/** Maximum credit, and maximum debt, microseconds. */
const BURST = 500
const MOST_DEBT = 2_000
/** Assumed cost of opening a socket where the clock doesn't measure it, microseconds. */
const COST = 50

/**
 * Limits how fast sockets are opened for connections of the guest. Opening one takes the host as long as many packets
 * take. So a turn opens a few. While many connections are unanswered or wait, as in a flood of SYNs, a turn opens one,
 * and all together may only take a part of the time.
 */
export class OpeningPace {
  readonly #clock: Clock
  #opened = 0
  /** Microseconds that opening may take. */
  #credit = BURST
  /** When the credit was last updated, clock milliseconds. */
  #at = 0
  #begunAt = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** True if a socket may be opened now: it is counted as opened. */
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

  /** Starts the measurement of a cost: of opening a socket, or of closing one in its favour. */
  begin(): void {
    this.#begunAt = this.#spent
  }

  /** Ends the measurement, and charges the cost. */
  end(): void {
    const cost = this.#clock.spent === undefined ? COST : this.#spent - this.#begunAt
    this.#credit = Math.max(this.#credit - cost, -MOST_DEBT)
  }

  /** Returns when the next socket may be opened at the earliest, clock milliseconds. Call it at the end of a turn. */
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
