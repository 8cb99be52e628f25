/**
 * Drives stacks from the event loop of the runtime, beside whatever else runs there.
 *
 * Callbacks of sockets only note their events. A round follows soon, when the callbacks that are due have run: events
 * are delivered, then each stack has one turn. Between two rounds the runtime serves everybody else, so a stack with
 * much to do starves no other code. With nothing to do, a timer waits for the first deadline.
 *
 * "Soon" is an immediate, or where there are none a message to ourselves: a page's timers are late by milliseconds, and
 * by a second while the page is hidden.
 *
 * The timer keeps a process alive only while connections are open: one that has paused is not active for the runtime.
 * Otherwise it is for sockets, servers and the guest's link to keep the process alive.
 */
import { type Driven, type Loop, SystemClock } from "@demiflow/core"

/** A timer of Node.js; a page's is a number. */
interface ProcessTimer {
  ref(): void
  unref(): void
}

declare function setTimeout(callback: () => void, milliseconds: number): ProcessTimer | number
declare function clearTimeout(timer: ProcessTimer | number | undefined): void

/** What a runtime has one or the other of. */
interface Runtime {
  readonly setImmediate?: (callback: () => void) => unknown
  readonly MessageChannel: new () => {
    readonly port1: { onmessage: (() => void) | null }
    readonly port2: { postMessage(message: null): void }
  }
}

const LONGEST_TIMER_MILLISECONDS = 0x7fffffff

/** The runtime can't watch a descriptor. */
export class DescriptorUnsupportedError extends Error {
  readonly code = "ERR_DESCRIPTOR_UNSUPPORTED"

  constructor() {
    super("This loop can't watch descriptors: have the link call back, then call framesWait() and the loop's wake()")
    this.name = "DescriptorUnsupportedError"
  }
}

/** Returns a function that has `callback` called back soon, once for each call. */
function soon(callback: () => void): () => void {
  const { setImmediate, MessageChannel } = globalThis as unknown as Runtime
  if (setImmediate !== undefined) return () => setImmediate(callback)
  const { port1, port2 } = new MessageChannel()
  port1.onmessage = callback
  return () => port2.postMessage(null)
}

/** An event loop for any number of stacks, in a page or beside any other code. */
export class TurnLoop implements Loop {
  /** Advanced once a round, before events are delivered. */
  readonly clock: SystemClock = new SystemClock()
  /** Replaced, never changed: a stack may be closed in its own turn. */
  #driven: readonly Driven[] = []
  #sources: readonly (() => void)[] = []
  #isAwake = false
  #timer: ProcessTimer | number | undefined
  #timerAt = Number.POSITIVE_INFINITY
  #holds = 0
  readonly #round = (): void => {
    this.#isAwake = false
    this.clock.advance()
    try {
      for (const deliver of this.#sources) deliver()
      for (const driven of this.#driven) driven.turn()
    } finally {
      this.#schedule()
    }
  }
  readonly #callSoon = soon(this.#round)
  readonly #expire = (): void => {
    this.#timer = undefined
    this.#timerAt = Number.POSITIVE_INFINITY
    this.wake()
  }

  attach(driven: Driven): void {
    this.#driven = [...this.#driven, driven]
    this.wake()
  }

  detach(driven: Driven): void {
    this.#driven = this.#driven.filter((other) => other !== driven)
    if (this.#driven.length === 0) this.#stopTimer()
  }

  /** Throws {@link DescriptorUnsupportedError}. */
  watchReadable(): void {
    throw new DescriptorUnsupportedError()
  }

  unwatch(): void {}

  /** Has a round come soon. To be called when frames wait, after `RunningStack.framesWait`. */
  readonly wake = (): void => {
    if (this.#isAwake) return
    this.#isAwake = true
    this.#callSoon()
  }

  /** Calls back at the start of each round. */
  addSource(deliver: () => void): void {
    this.#sources = [...this.#sources, deliver]
  }

  removeSource(deliver: () => void): void {
    this.#sources = this.#sources.filter((other) => other !== deliver)
  }

  /** Keeps the process alive for deadlines until {@link TurnLoop.release}; calls are counted. */
  hold(): void {
    if (this.#holds++ === 0 && typeof this.#timer === "object") this.#timer.ref()
  }

  release(): void {
    if (--this.#holds === 0) this.#letGo()
  }

  #schedule(): void {
    let deadline = Number.POSITIVE_INFINITY
    for (const driven of this.#driven) deadline = Math.min(deadline, driven.nextDeadline())
    if (deadline <= this.clock.now) {
      this.wake()
      return
    }
    // A timer that is due earlier stays: a round too early costs less than a new timer in each round.
    if (deadline >= this.#timerAt) return
    this.#stopTimer()
    const wait = Math.min(deadline - this.clock.now, LONGEST_TIMER_MILLISECONDS)
    this.#timer = setTimeout(this.#expire, wait)
    this.#timerAt = deadline
    if (this.#holds === 0) this.#letGo()
  }

  #letGo(): void {
    if (typeof this.#timer === "object") this.#timer.unref()
  }

  #stopTimer(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#timerAt = Number.POSITIVE_INFINITY
  }
}
