/**
 * The event loop of the data path: an epoll instance of our own, in which libuv has a guest's place.
 *
 * Why not libuv's loop: each of its wake-ups goes through a callback per descriptor, timers, microtasks and a second
 * look at the descriptors, which is more than a packet costs. So this loop blocks in its own `epoll_wait`, hands events
 * out, and comes back to it without returning to the runtime. libuv's own epoll descriptor is one of those waited for;
 * only when it is readable, when libuv's next timer is due, or on {@link EventLoop.requestTurn}, does this loop return to
 * the runtime, by way of `setImmediate`. An idle loop does not wake up at all; a busy one looks for a moment before it
 * falls asleep ({@link EventWait}). (Measured, an event that costs nothing
 * itself: 1.1 µs this way, 2.2 µs with this epoll instance watched by libuv; a turn of libuv 3.5 µs.)
 *
 * What follows for code that runs inside a callback of this loop: timers, immediates, and whatever is opened through Node
 * (sockets, files, processes) work as usual, because before it blocks this loop asks libuv when it wants a turn, and libuv
 * says "now" when there is anything that it has not told the kernel yet. Only promises and `process.nextTick`, of which
 * libuv knows nothing, wait for the next turn: whoever settles one in a callback of this loop calls
 * {@link EventLoop.requestTurn}.
 */
import { type Arena, Errno, type ListenerRef, NO_SIDE, type SideRef } from "@demiflow/core"
import { MonotonicClock } from "./clock.ts"
import { EpollEvent, EpollOperation } from "./constants.ts"
import { checkResult } from "./errno.ts"
import { EventWait } from "./event-wait.ts"
import type { Native } from "./native.ts"

/** Events taken at once. More wait for the next round, which the kernel serves in turn. */
const BATCH = 256
/** A token is a descriptor with the number of times that it was watched above it, so that a late event is told. */
const DESCRIPTOR_BITS = 20
const DESCRIPTOR_MASK = (1 << DESCRIPTOR_BITS) - 1
const GENERATION_MASK = 0xfff
/** Longest time that is waited for at once: what fits in 32 bits as microseconds. */
const LONGEST_WAIT_MICROSECONDS = 2_000_000_000
const LONGEST_TIMER_MILLISECONDS = 0x7fffffff

/** Where a side stands: libuv's own descriptor, and, from here downwards, listeners. */
const LIBUV = -2 as SideRef
const FIRST_LISTENER = -3

/** Called with the bits of `EpollEvent` that hold. */
export type DescriptorCallback = (events: number) => void

/** What the loop calls. */
export interface EventLoopHooks {
  /** Something happened on a descriptor watched for a side of a flow. */
  onSide?: (side: SideRef, events: number) => void
  /** Something happened on a descriptor watched for a listener. */
  onListener?: (listener: ListenerRef, events: number) => void
  /** When {@link EventLoopHooks.onTimer} has something to do next, in clock milliseconds; Infinity if never. */
  nextDeadline?: () => number
  /** The deadline has been reached. */
  onTimer?: (now: number) => void
  /** Once after each batch of events and timers, and after each turn of libuv. The loop goes to sleep after it. */
  endTurn?: () => void
}

/** One thread's event loop. Not for two at once on a thread. */
export class EventLoop {
  /** Advanced once a round, before events are handed out. */
  readonly clock: MonotonicClock
  /** Set them before {@link EventLoop.run}. */
  readonly hooks: EventLoopHooks
  readonly #native: Native
  readonly #words: Int32Array
  readonly #eventsOffset: number
  readonly #epoll: number
  readonly #wait: EventWait
  /** By descriptor: the side watched for, or NO_SIDE, or one of the values below it. */
  #sides = new Int32Array(1024).fill(NO_SIDE)
  #generations = new Uint16Array(1024)
  readonly #callbacks: (DescriptorCallback | undefined)[] = []
  #turnWanted = false
  #stopping = false
  #running = false
  #keepAlive: NodeJS.Timeout | undefined
  #finish: { resolve: () => void; reject: (error: unknown) => void } | undefined
  readonly #enter = (): void => this.#enterFromLibuv()

  constructor(native: Native, arena: Arena, hooks: EventLoopHooks = {}) {
    this.#native = native
    this.clock = new MonotonicClock(native, arena)
    this.hooks = hooks
    this.#words = arena.words
    this.#eventsOffset = arena.reserve(BATCH * 8, 64)
    this.#epoll = checkResult(native.epollCreate(), "create an epoll instance")
    this.#wait = new EventWait(native, this.#epoll, this.#eventsOffset, BATCH)
    const libuv = checkResult(native.loopDescriptor(), "find the runtime's event loop")
    this.#add(libuv, EpollEvent.readable)
    this.#sides[libuv] = LIBUV
  }

  /**
   * Tells `hooks.onSide` of the events. Use bits of `EpollEvent`, `edgeTriggered` included where that is wanted. Answers
   * 0 or a negated errno.
   */
  watchFlow(descriptor: number, events: number, side: SideRef): number {
    const result = this.#register(descriptor, events)
    if (result === 0) this.#sides[descriptor] = side
    return result
  }

  /** Reports events of a watched descriptor, those gathered already included, to another side from now on. */
  handOver(descriptor: number, side: SideRef): void {
    this.#sides[descriptor] = side
  }

  /** As {@link EventLoop.watchFlow}, for a socket that listens: tells `hooks.onListener`. */
  watchListener(descriptor: number, events: number, listener: ListenerRef): number {
    return this.watchFlow(descriptor, events, (FIRST_LISTENER - listener) as SideRef)
  }

  /** Calls back for the events. Throws a `SystemError` for a descriptor that can't be watched. */
  watchDescriptor(descriptor: number, events: number, callback: DescriptorCallback): void {
    this.#add(descriptor, events)
    this.#callbacks[descriptor] = callback
  }

  /** Changes which events of a watched descriptor are told. Answers 0 or a negated errno. */
  modify(descriptor: number, events: number): number {
    const token = (this.#generations[descriptor] << DESCRIPTOR_BITS) | descriptor
    return this.#native.epollControl(this.#epoll, EpollOperation.modify, descriptor, events, token)
  }

  /** Ends watching. No event for the descriptor is told afterwards, also none that has been gathered already. */
  unwatch(descriptor: number): void {
    this.forget(descriptor)
    this.#native.epollControl(this.#epoll, EpollOperation.remove, descriptor, 0, 0)
  }

  /** {@link EventLoop.unwatch} for a descriptor that is closed right after, which the kernel then forgets by itself. */
  forget(descriptor: number): void {
    if (descriptor < 0 || descriptor >= this.#sides.length) return
    this.#sides[descriptor] = NO_SIDE
    // Flows have none. An array with a place for each of their descriptors, and holes between, would become a dictionary.
    if (descriptor < this.#callbacks.length) this.#callbacks[descriptor] = undefined
    this.#generations[descriptor] = (this.#generations[descriptor] + 1) & GENERATION_MASK
  }

  /** Gives libuv a turn after the present round. */
  requestTurn(): void {
    this.#turnWanted = true
  }

  /** Runs until {@link EventLoop.stop}. What a callback or hook throws rejects the promise and ends the loop. */
  run(): Promise<void> {
    if (this.#running) throw new Error("The event loop runs already")
    this.#running = true
    this.#stopping = false
    // While this loop runs, libuv's has something to live for.
    this.#keepAlive = setInterval(() => {}, LONGEST_TIMER_MILLISECONDS)
    return new Promise((resolve, reject) => {
      this.#finish = { resolve, reject }
      setImmediate(this.#enter)
    })
  }

  /** Ends {@link EventLoop.run} after the present round. */
  stop(): void {
    this.#stopping = true
  }

  /** Releases the epoll instance. The loop must not run. */
  close(): void {
    this.#native.close(this.#epoll)
  }

  /**
   * Takes one batch of events, waiting for it no longer than `timeoutMicroseconds` (-1: for ever), runs what is due, and
   * ends the turn. For tests and for loops of other kinds; {@link EventLoop.run} calls it over and over.
   */
  round(timeoutMicroseconds: number): void {
    const count = this.#wait.wait(timeoutMicroseconds)
    if (count < 0) checkResult(count, "wait for events")
    const now = this.clock.advance()
    const words = this.#words
    let index = this.#eventsOffset >> 2
    for (const end = index + count * 2; index < end; index += 2) this.#deliver(words[index], words[index + 1])
    const { hooks } = this
    if (hooks.nextDeadline !== undefined && hooks.nextDeadline() <= now) hooks.onTimer?.(now)
    hooks.endTurn?.()
  }

  #deliver(events: number, token: number): void {
    const descriptor = token & DESCRIPTOR_MASK
    if (this.#generations[descriptor] !== token >>> DESCRIPTOR_BITS) return
    const side = this.#sides[descriptor] as SideRef
    if (side >= 0) this.hooks.onSide?.(side, events)
    else if (side <= FIRST_LISTENER) this.hooks.onListener?.((FIRST_LISTENER - side) as ListenerRef, events)
    else if (side === LIBUV) this.requestTurn()
    else this.#callbacks[descriptor]?.(events)
  }

  #enterFromLibuv(): void {
    // The immediate that brought us here still counts with libuv, which would want a turn at once. The runtime looks at
    // the number of immediates again whenever one is added or taken away: then only others count.
    clearImmediate(setImmediate(() => {}))
    this.#turnWanted = false
    try {
      // Callbacks of libuv may have left something to finish, before this loop goes to sleep.
      this.hooks.endTurn?.()
      this.#runUntilTurn()
    } catch (error) {
      this.#end()?.reject(error)
      return
    }
    if (this.#stopping) this.#end()?.resolve()
    else setImmediate(this.#enter)
  }

  #runUntilTurn(): void {
    while (!this.#stopping) {
      const libuvTimeout = this.#native.loopTimeout()
      if (libuvTimeout === 0) this.#turnWanted = true
      this.round(this.#turnWanted ? 0 : this.#waitMicroseconds(libuvTimeout))
      if (this.#turnWanted) return
    }
  }

  #waitMicroseconds(libuvTimeout: number): number {
    let wait = libuvTimeout < 0 ? Number.POSITIVE_INFINITY : libuvTimeout * 1000
    const deadline = this.hooks.nextDeadline?.() ?? Number.POSITIVE_INFINITY
    if (deadline !== Number.POSITIVE_INFINITY) {
      const ours = deadline * 1000 - this.clock.microseconds
      if (ours <= 0) return 0
      if (ours < wait) wait = ours
    }
    if (wait === Number.POSITIVE_INFINITY) return -1
    return Math.min(Math.ceil(wait), LONGEST_WAIT_MICROSECONDS)
  }

  #end(): { resolve: () => void; reject: (error: unknown) => void } | undefined {
    clearInterval(this.#keepAlive)
    this.#running = false
    const finish = this.#finish
    this.#finish = undefined
    return finish
  }

  #add(descriptor: number, events: number): void {
    checkResult(this.#register(descriptor, events), `watch descriptor ${descriptor}`)
  }

  #register(descriptor: number, events: number): number {
    // No room for it in a token. Far beyond what the kernel allows a process unless told otherwise.
    if (descriptor > DESCRIPTOR_MASK) return -Errno.EMFILE
    if (descriptor >= this.#sides.length) this.#grow(descriptor)
    this.#sides[descriptor] = NO_SIDE
    const token = (this.#generations[descriptor] << DESCRIPTOR_BITS) | descriptor
    return this.#native.epollControl(this.#epoll, EpollOperation.add, descriptor, events, token)
  }

  #grow(descriptor: number): void {
    let size = this.#sides.length
    while (size <= descriptor) size *= 2
    const sides = new Int32Array(size).fill(NO_SIDE)
    sides.set(this.#sides)
    this.#sides = sides
    const generations = new Uint16Array(size)
    generations.set(this.#generations)
    this.#generations = generations
  }
}
