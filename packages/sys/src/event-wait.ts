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

/** What waiting takes of the native layer. */
export type WaitCalls = Pick<Native, "epollWaitMicroseconds" | "monotonicWord" | "yieldProcessor">

/**
 * Waits for events of an epoll instance, and learns whether it pays off to look for them for some microseconds before
 * falling asleep.
 *
 * Who sleeps has to be woken up, which takes longer than a request and its response take otherwise. Each short sleep
 * says that looking would have paid off, each look in vain that it did not. While it looks, whoever else is ready to run on
 * this processor goes first: often it is the one who makes what is looked for. Without traffic it sleeps at once.
 */
export class EventWait {
  readonly #calls: WaitCalls
  readonly #epoll: number
  readonly #offset: number
  readonly #maximum: number
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
    const isLooking = this.#credit > 0 && (timeoutMicroseconds < 0 || timeoutMicroseconds > LOOK)
    if (!isLooking) return this.#sleep(timeoutMicroseconds)
    const found = this.#look()
    if (found !== 0) return found
    return this.#sleep(timeoutMicroseconds < 0 ? timeoutMicroseconds : timeoutMicroseconds - LOOK)
  }

  #look(): number {
    const began = this.#calls.monotonicWord()
    do {
      this.#calls.yieldProcessor()
      const found = this.#take(0)
      if (found !== 0) {
        this.#gainCredit()
        return found
      }
    } while (elapsed(began, this.#calls.monotonicWord()) < LOOK)
    this.#credit--
    return 0
  }

  #sleep(timeoutMicroseconds: number): number {
    const began = this.#calls.monotonicWord()
    const found = this.#take(timeoutMicroseconds)
    if (found !== 0 && elapsed(began, this.#calls.monotonicWord()) <= SHORT) this.#gainCredit()
    return found
  }

  #gainCredit(): void {
    if (this.#credit < MOST_CREDIT) this.#credit++
  }

  #take(timeoutMicroseconds: number): number {
    return this.#calls.epollWaitMicroseconds(this.#epoll, this.#offset, this.#maximum, timeoutMicroseconds)
  }
}

/** Microseconds between two words of the clock. After 35 minutes it is anything. */
function elapsed(from: number, to: number): number {
  return (to - from) | 0
}
