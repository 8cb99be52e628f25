import type { Native } from "./native.ts"

/**
 * How long is looked for an event before falling asleep, microseconds. Longer than an answer takes that is already being
 * made by somebody on this machine, and shorter than falling asleep and being woken up costs on a virtual machine.
 */
const LOOK = 30
/** A sleep of no more than this might have been spared by looking, microseconds: waking up takes a part of it. */
const SHORT = 2 * LOOK
/** How many times it is looked in vain, after it has paid off for long. */
const MOST_CREDIT = 8
/** Somebody else who had the processor for so long in the middle of a look is busy with other things, microseconds, … */
const KEPT = 500
/** … and it isn't looked for so many sleeps. */
const DEBT = 300

/** What waiting takes of the native layer. */
export type WaitCalls = Pick<Native, "epollWaitMicroseconds" | "monotonicWord" | "yieldProcessor">

/**
 * Waits for events of an epoll instance, and learns whether it pays off to look for them for some microseconds before
 * falling asleep.
 *
 * Who sleeps has to be woken up, which takes longer than a request and its response take otherwise. Each short sleep
 * says that looking would have paid off, each look in vain that it did not. While it looks, whoever else is ready to run on
 * this processor goes first: often it is the one who makes what is looked for. Whoever keeps it for longer has other things to
 * do, and would keep it again: only who sleeps gets it back as soon as there is an event, so that it isn't looked for a long
 * while then. Without traffic it sleeps at once.
 */
export class EventWait {
  readonly #calls: WaitCalls
  readonly #epoll: number
  readonly #offset: number
  readonly #maximum: number
  /** Looks that may be in vain, or, below 0, sleeps without a look that are still to come. */
  #credit = 0

  /**
   * @param epoll descriptor of the epoll instance
   * @param offset where events are stored, as by `epollWaitMicroseconds` of {@link Native}
   * @param maximum the number of events that there is room for
   */
  constructor(calls: WaitCalls, epoll: number, offset: number, maximum: number) {
    this.#calls = calls
    this.#epoll = epoll
    this.#offset = offset
    this.#maximum = maximum
  }

  /** The number of events stored, 0 when the time is over, or a negated errno. -1 microseconds are for ever. */
  wait(timeoutMicroseconds: number): number {
    const ready = this.#take(0)
    if (ready !== 0 || timeoutMicroseconds === 0) return ready
    const began = this.#calls.monotonicWord()
    const isLooking = this.#credit > 0 && (timeoutMicroseconds < 0 || timeoutMicroseconds > LOOK)
    if (!isLooking) return this.#sleep(timeoutMicroseconds, began)
    const found = this.#look(began)
    if (found !== 0) return found
    const now = this.#calls.monotonicWord()
    if (timeoutMicroseconds < 0) return this.#sleep(timeoutMicroseconds, now)
    return this.#sleep(Math.max(timeoutMicroseconds - elapsed(began, now), 0), now)
  }

  #look(began: number): number {
    for (;;) {
      this.#calls.yieldProcessor()
      const found = this.#take(0)
      const took = elapsed(began, this.#calls.monotonicWord())
      if (took > KEPT) this.#credit = -DEBT
      else if (found > 0) this.#gainCredit()
      else if (took >= LOOK) this.#credit--
      if (found !== 0 || took >= LOOK) return found
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

/** Microseconds between two words of the clock, at most 71 minutes. */
function elapsed(from: number, to: number): number {
  return (to - from) >>> 0
}
