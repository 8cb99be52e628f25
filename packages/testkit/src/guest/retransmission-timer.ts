import type { VirtualClock, VirtualTimer } from "../virtual-clock.ts"

const FIRST_TIMEOUT = 1_000
const LEAST_TIMEOUT = 200
const MOST_TIMEOUT = 60_000

/** The retransmission timer of RFC 6298, with a minimum timeout of 200 ms as on Linux. */
export class RetransmissionTimer {
  /** Expirations since the last progress. */
  expirations = 0
  readonly #clock: VirtualClock
  readonly #onExpire: () => void
  #timer: VirtualTimer | undefined
  #smoothed: number | undefined
  #variation = 0
  #timeout = FIRST_TIMEOUT

  constructor(clock: VirtualClock, onExpire: () => void) {
    this.#clock = clock
    this.#onExpire = onExpire
  }

  get isRunning(): boolean {
    return this.#timer !== undefined
  }

  /** Updates the estimate with a round-trip time, milliseconds (section 2). */
  measure(roundTrip: number): void {
    if (this.#smoothed === undefined) {
      this.#smoothed = roundTrip
      this.#variation = roundTrip / 2
    } else {
      this.#variation += (Math.abs(this.#smoothed - roundTrip) - this.#variation) / 4
      this.#smoothed += (roundTrip - this.#smoothed) / 8
    }
    this.#timeout = Math.max(LEAST_TIMEOUT, Math.ceil(this.#smoothed + 4 * this.#variation))
  }

  /** Starts or restarts the timer (5.1, 5.3). */
  start(): void {
    this.stop()
    const delay = Math.min(MOST_TIMEOUT, this.#timeout * 2 ** this.expirations)
    this.#timer = this.#clock.schedule(delay, () => {
      this.#timer = undefined
      this.expirations++
      this.#onExpire()
    })
  }

  /** Starts the timer if it isn't running. */
  ensure(): void {
    if (this.#timer === undefined) this.start()
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  /** Notes that new data was acknowledged. */
  progress(): void {
    this.expirations = 0
  }
}
