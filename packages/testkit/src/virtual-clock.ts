/**
 * Time that a test moves.
 *
 * All waiting in a test uses one virtual clock: the simulated host's network, the guest's timers, the
 * stack's deadlines. Moving the clock runs everything that falls due, in order, and after each step its immediate
 * consequences, until all is quiet. Hours pass in microseconds, and each run is the same.
 */
import type { Clock } from "@demiflow/core"

/** A participant that works when there is work, such as a stack. The clock that it is attached to drives it. */
export interface Participant {
  /** Does the work that is possible now. True if anything was done, because others may then have more to do. */
  turn(): boolean
  /** When the participant next has work by itself, in clock milliseconds; Infinity if never. */
  nextDeadline?(): number
}

/** A callback that is scheduled. */
export interface VirtualTimer {
  /** Clock milliseconds. */
  readonly deadline: number
  /** Cancels the callback. Does nothing if it has run. */
  cancel(): void
}

/** Rounds at one moment after which the work is considered endless. */
const ROUND_LIMIT = 20_000

/** A clock under control of the test. */
export class VirtualClock implements Clock {
  #now: number
  #order = 0
  /** A binary heap: earliest deadline first, then in the order of scheduling. */
  readonly #heap: Timer[] = []
  #cancelled = 0
  readonly #participants = new Set<Participant>()
  #isSettling = false

  /** @param start milliseconds, an integer */
  constructor(start = 1_000) {
    this.#now = start
  }

  get now(): number {
    return this.#now
  }

  /** Number of scheduled callbacks. */
  get pending(): number {
    return this.#heap.length - this.#cancelled
  }

  /**
   * Calls back once, `delay` milliseconds from now (rounded up to a whole one); 0 means now, but not inside this call.
   */
  schedule(delay: number, callback: () => void): VirtualTimer {
    const timer = new Timer(this.#now + Math.max(0, Math.ceil(delay)), this.#order++, callback, () => {
      this.#cancelled++
    })
    this.#push(timer)
    return timer
  }

  /** Drives the participant from now on. Returns a function that detaches it. */
  attach(participant: Participant): () => void {
    this.#participants.add(participant)
    return () => this.#participants.delete(participant)
  }

  /** When the next callback or participant has work; Infinity if nothing waits. */
  nextDeadline(): number {
    let deadline = this.#peek()?.deadline ?? Number.POSITIVE_INFINITY
    for (const participant of this.#participants) {
      const own = participant.nextDeadline?.() ?? Number.POSITIVE_INFINITY
      if (own < deadline) deadline = own
    }
    return deadline
  }

  /** Does all work that is possible without time passing. Throws `NeverQuietError` if that doesn't end. */
  settle(): void {
    if (this.#isSettling) return
    this.#isSettling = true
    try {
      for (let round = 0; this.#round(); round++) {
        if (round === ROUND_LIMIT) throw new NeverQuietError(this.#now)
      }
    } finally {
      this.#isSettling = false
    }
  }

  /** Advances time by `milliseconds`, and runs everything that falls due, until all is quiet. */
  advance(milliseconds: number): void {
    this.#moveTo(this.#now + milliseconds, () => false)
  }

  /**
   * Advances time until the condition holds, at most by `limit` milliseconds. Returns whether it holds: also false
   * if nothing that could fulfil it waits any more.
   */
  runUntil(condition: () => boolean, limit = 60_000): boolean {
    return this.#moveTo(this.#now + limit, condition, true)
  }

  #moveTo(end: number, condition: () => boolean, stopWhenIdle = false): boolean {
    this.settle()
    while (!condition()) {
      const deadline = this.nextDeadline()
      if (stopWhenIdle && deadline === Number.POSITIVE_INFINITY) return false
      if (deadline > end) {
        this.#now = end
        this.settle()
        return condition()
      }
      // A participant may report work that turns out to be none: time advances nevertheless.
      this.#now = Math.min(end, Math.max(this.#now + 1, Math.ceil(deadline)))
      this.settle()
      if (this.#now >= end) return condition()
    }
    return true
  }

  /** One round over all that can work at this moment; false if nothing did. */
  #round(): boolean {
    let worked = false
    const before = this.#order
    for (let timer = this.#peek(); timer !== undefined && timer.deadline <= this.#now; timer = this.#peek()) {
      // Callbacks scheduled during the round wait for the next one, so that participants get their turns between.
      if (timer.order >= before) break
      this.#pop()
      timer.run()
      worked = true
    }
    for (const participant of this.#participants) if (participant.turn()) worked = true
    const next = this.#peek()
    return worked || (next !== undefined && next.deadline <= this.#now)
  }

  #peek(): Timer | undefined {
    while (this.#heap.length > 0 && this.#heap[0].isCancelled) {
      this.#pop()
      this.#cancelled--
    }
    return this.#heap[0]
  }

  #push(timer: Timer): void {
    const heap = this.#heap
    let index = heap.push(timer) - 1
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (heap[parent].isBefore(timer)) break
      heap[index] = heap[parent]
      index = parent
    }
    heap[index] = timer
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && heap[child + 1].isBefore(heap[child])) child++
      if (last.isBefore(heap[child])) break
      heap[index] = heap[child]
      index = child
    }
    heap[index] = last
  }
}

/** Work at one moment of virtual time doesn't end: two parties answer each other without a pause. */
export class NeverQuietError extends Error {
  readonly code = "ERR_NEVER_QUIET"

  constructor(now: number) {
    super(`Work at ${now} ms of virtual time never ends: find two parties that answer each other's every message`)
    this.name = "NeverQuietError"
  }
}

class Timer implements VirtualTimer {
  readonly deadline: number
  readonly order: number
  isCancelled = false
  #callback: (() => void) | undefined
  readonly #onCancel: () => void

  constructor(deadline: number, order: number, callback: () => void, onCancel: () => void) {
    this.deadline = deadline
    this.order = order
    this.#callback = callback
    this.#onCancel = onCancel
  }

  isBefore(other: Timer): boolean {
    return this.deadline < other.deadline || (this.deadline === other.deadline && this.order < other.order)
  }

  cancel(): void {
    if (this.#callback === undefined) return
    this.#callback = undefined
    this.isCancelled = true
    this.#onCancel()
  }

  run(): void {
    const callback = this.#callback
    this.#callback = undefined
    callback?.()
  }
}
