import type { Native } from "./native.ts"

/**
 * How long to spin before blocking in epoll_wait, in microseconds. Longer than it takes another process on this machine
 * to finish an answer that it has begun; shorter than blocking and waking up on a virtual machine.
 */
const SPIN = 30
/** A sleep of at most this many microseconds might have been avoided by spinning: waking up takes a part of it. */
const SHORT = 2 * SPIN
/** How many fruitless spins are allowed after a long series of useful ones. */
const MOST_CREDIT = 8
/** Another process that keeps the processor this long during a spin, in microseconds, is busy with other work … */
const KEPT = 500
/** … and this many waits block at once. */
const DEBT = 300

/** The functions of the native layer that waiting uses. */
export type WaitCalls = Pick<Native, "epollWaitMicroseconds" | "monotonicWord" | "yieldProcessor">

/**
 * Waits for events of an epoll instance, and learns whether it pays to spin for some microseconds before blocking.
 *
 * Waking up a blocked process takes longer than a request and its response otherwise do. Each short sleep earns a spin;
 * each fruitless spin spends one. A spin yields the processor to other processes that are ready to run: often one of
 * them produces the awaited event. A process that keeps the processor for longer has other work, and would keep it
 * again. Only a blocked process gets the processor back as soon as there is an event, so after that the next waits
 * block at once, for a long while. Without traffic every wait blocks at once.
 */
export class SpinningWait {
  readonly #calls: WaitCalls
  readonly #epoll: number
  readonly #offset: number
  readonly #maximum: number
  /** Fruitless spins that are still allowed or, below 0, waits that must still block at once. */
  #credit = 0

  /**
   * @param epoll descriptor of the epoll instance
   * @param offset where events are stored, as by `epollWaitMicroseconds` of {@link Native}
   * @param maximum the number of events that fit there
   */
  constructor(calls: WaitCalls, epoll: number, offset: number, maximum: number) {
    this.#calls = calls
    this.#epoll = epoll
    this.#offset = offset
    this.#maximum = maximum
  }

  /** Waits for events. Returns the number stored, 0 on timeout, or a negated errno. A timeout of -1 is for ever. */
  wait(timeoutMicroseconds: number): number {
    const ready = this.#take(0)
    if (ready !== 0 || timeoutMicroseconds === 0) return ready
    const began = this.#calls.monotonicWord()
    const isSpinning = this.#credit > 0 && (timeoutMicroseconds < 0 || timeoutMicroseconds > SPIN)
    if (!isSpinning) return this.#sleep(timeoutMicroseconds, began)
    const found = this.#spin(began)
    if (found !== 0) return found
    const now = this.#calls.monotonicWord()
    if (timeoutMicroseconds < 0) return this.#sleep(timeoutMicroseconds, now)
    return this.#sleep(Math.max(timeoutMicroseconds - elapsed(began, now), 0), now)
  }

  #spin(began: number): number {
    for (;;) {
      this.#calls.yieldProcessor()
      const found = this.#take(0)
      const took = elapsed(began, this.#calls.monotonicWord())
      if (took > KEPT) this.#credit = -DEBT
      else if (found > 0) this.#gainCredit()
      else if (took >= SPIN) this.#credit--
      if (found !== 0 || took >= SPIN) return found
    }
  }

  #sleep(timeoutMicroseconds: number, began: number): number {
    const found = this.#take(timeoutMicroseconds)
    if (this.#credit < 0) this.#credit++
    else if (found > 0 && elapsed(began, this.#calls.monotonicWord()) <= SHORT) this.#gainCredit()
    return found
  }

  #gainCredit(): void {
    if (this.#credit < MOST_CREDIT) this.#credit++
  }

  #take(timeoutMicroseconds: number): number {
    return this.#calls.epollWaitMicroseconds(this.#epoll, this.#offset, this.#maximum, timeoutMicroseconds)
  }
}

/** Microseconds between two readings of the clock word, at most 71 minutes. */
function elapsed(from: number, to: number): number {
  return (to - from) >>> 0
}
