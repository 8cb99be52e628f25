/**
 * Drives stacks from the event loop of the runtime, beside whatever else runs there.
 *
 * Callbacks of sockets only note their events. A round follows as an immediate, when all callbacks of the runtime's
 * batch have run: events are delivered, then each stack has one turn. Between two rounds the runtime serves everybody
 * else, so a stack with much to do starves no other code. With nothing to do, a timer waits for the first deadline.
 *
 * The timer keeps the process alive only while connections are open: one that has paused is not active for the runtime.
 * Otherwise it is for sockets, servers and the guest's link to keep the process alive.
 */
import type { Driven, Loop } from "@demiflow/core"
import { NodeClock } from "./node-clock.ts"

const LONGEST_TIMER_MILLISECONDS = 0x7fffffff

/** The runtime can't watch a descriptor. */
export class DescriptorUnsupportedError extends Error {
  readonly code = "ERR_DESCRIPTOR_UNSUPPORTED"

  constructor() {
    super("This loop can't watch descriptors: have the link call back, then call framesWait() and the loop's wake()")
    this.name = "DescriptorUnsupportedError"
  }
}

/** An event loop for any number of stacks, by the runtime's immediates and timers. */
export class NodeLoop implements Loop {
  /** Advanced once a round, before events are delivered. */
  readonly clock: NodeClock = new NodeClock()
  /** Replaced, never changed: a stack may be closed in its own turn. */
  #driven: readonly Driven[] = []
  #sources: readonly (() => void)[] = []
  #immediate: NodeJS.Immediate | undefined
  #timer: NodeJS.Timeout | undefined
  #timerAt = Number.POSITIVE_INFINITY
  #holds = 0
  readonly #round = (): void => {
    this.#immediate = undefined
    this.clock.advance()
    try {
      for (const deliver of this.#sources) deliver()
      for (const driven of this.#driven) driven.turn()
    } finally {
      this.#schedule()
    }
  }
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
    this.#immediate ??= setImmediate(this.#round)
  }

  /** Calls back at the start of each round. */
  addSource(deliver: () => void): void {
    this.#sources = [...this.#sources, deliver]
  }

  removeSource(deliver: () => void): void {
    this.#sources = this.#sources.filter((other) => other !== deliver)
  }

  /** Keeps the process alive for deadlines until {@link NodeLoop.release}; calls are counted. */
  hold(): void {
    if (this.#holds++ === 0) this.#timer?.ref()
  }

  release(): void {
    if (--this.#holds === 0) this.#timer?.unref()
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
    if (this.#holds === 0) this.#timer.unref()
  }

  #stopTimer(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#timerAt = Number.POSITIVE_INFINITY
  }
}
