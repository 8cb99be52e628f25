/**
 * The event loop of the data path: an epoll instance of our own, in which libuv is a guest.
 *
 * Why not libuv's loop: each of its wake-ups costs a callback per descriptor, timers, microtasks and a second poll,
 * which is more than a packet costs. So this loop blocks in its own `epoll_wait`, dispatches the events and blocks
 * again without returning to the runtime. It also watches libuv's own epoll descriptor. It returns to the runtime, by
 * way of `setImmediate`, only when that descriptor is readable, when libuv's next timer is due, or on
 * {@link EventLoop.requestTurn}. An idle loop does not wake up at all; a busy one spins briefly before it blocks
 * ({@link SpinningWait}). Measured for an event that costs nothing itself: 1.1 µs this way, 2.2 µs with this epoll
 * instance watched by libuv; a turn of libuv takes 3.5 µs.
 *
 * What follows for code that runs inside a callback of this loop: timers, immediates, and whatever is opened through
 * Node (sockets, files, processes) work as usual. Before it blocks, this loop asks libuv when it wants a turn, and
 * libuv says "now" while it has changes that it hasn't passed to the kernel yet. Only promises and `process.nextTick`,
 * of which libuv knows nothing, wait for the next turn: code that settles a promise in a callback of this loop calls
 * {@link EventLoop.requestTurn}.
 */
import {
  type Arena,
  type Driven,
  Errno,
  type ListenerRef,
  type Loop,
  NO_SIDE,
  type SideRef,
  type SocketEvents,
} from "@demiflow/core"
import { MonotonicClock } from "./clock.ts"
import { EpollEvent, EpollOperation } from "./constants.ts"
import { checkResult } from "./errno.ts"
import type { Native } from "./native.ts"
import { SpinningWait } from "./spinning-wait.ts"

/** Events taken at once. The kernel serves the rest in the next round, in turn. */
const BATCH = 256
/** A token is the descriptor, with a count of its registrations above it, so that a late event is recognised. */
const DESCRIPTOR_BITS = 20
const DESCRIPTOR_MASK = (1 << DESCRIPTOR_BITS) - 1
const GENERATION_MASK = 0xfff
/** Longest single wait: what fits in 32 bits as microseconds. */
const LONGEST_WAIT_MICROSECONDS = 2_000_000_000
const LONGEST_TIMER_MILLISECONDS = 0x7fffffff

/** Values stored in place of a side: libuv's own descriptor, and, from here downwards, listeners. */
const LIBUV = -2 as SideRef
const FIRST_LISTENER = -3

/** Called with the bits of `EpollEvent` that hold. */
export type DescriptorCallback = (events: number) => void

/** Number of a receiver of events of sockets: sides and listeners of several stacks have the same numbers. */
export type ReceiverRef = number

/** No receiver: the events are lost. */
export const NO_RECEIVER: ReceiverRef = 0

const MOST_RECEIVERS = 0xffff
const nobody: SocketEvents = { fromHost() {}, fromListener() {} }

/** One thread's event loop, for any number of stacks. A thread has at most one. */
export class EventLoop implements Loop {
  /** Advanced once a round, before events are dispatched. */
  readonly clock: MonotonicClock
  readonly #native: Native
  readonly #words: Int32Array
  readonly #eventsOffset: number
  readonly #epoll: number
  readonly #wait: SpinningWait
  /** By descriptor: the side, or NO_SIDE, or one of the values below it. */
  #sides = new Int32Array(1024).fill(NO_SIDE)
  #generations = new Uint16Array(1024)
  /** By descriptor: who receives the events of its side or listener. */
  #receiverOf = new Uint16Array(1024)
  readonly #receivers: SocketEvents[] = [nobody]
  readonly #freeReceivers: ReceiverRef[] = []
  /** Replaced, never changed: a stack may be closed in its own turn. */
  #driven: readonly Driven[] = []
  readonly #callbacks: (DescriptorCallback | undefined)[] = []
  #turnWanted = false
  #stopping = false
  #running = false
  #keepAlive: NodeJS.Timeout | undefined
  #finish: { resolve: () => void; reject: (error: unknown) => void } | undefined
  readonly #enter = (): void => this.#enterFromLibuv()

  constructor(native: Native, arena: Arena) {
    this.#native = native
    this.clock = new MonotonicClock(native, arena)
    this.#words = arena.words
    this.#eventsOffset = arena.reserve(BATCH * 8, 64, "an event loop")
    this.#epoll = checkResult(native.epollCreate(), "create an epoll instance")
    this.#wait = new SpinningWait(native, this.#epoll, this.#eventsOffset, BATCH)
    const libuv = checkResult(native.loopDescriptor(), "find the runtime's event loop")
    this.#add(libuv, EpollEvent.readable)
    this.#sides[libuv] = LIBUV
  }

  /**
   * Gives what it is passed a turn after each batch of events and after each turn of libuv, and wakes up for its
   * deadlines.
   */
  attach(driven: Driven): void {
    this.#driven = [...this.#driven, driven]
  }

  detach(driven: Driven): void {
    this.#driven = this.#driven.filter((other) => other !== driven)
  }

  /** Returns a number for a receiver of events: see {@link EventLoop.watchFlow}. Throws `RangeError` beyond 65,534. */
  addReceiver(receiver: SocketEvents): ReceiverRef {
    const ref = this.#freeReceivers.pop() ?? this.#receivers.length
    if (ref > MOST_RECEIVERS) throw new RangeError("An event loop has at most 65,534 receivers of events")
    this.#receivers[ref] = receiver
    return ref
  }

  /** Frees the number of a receiver. Events of its descriptors that are still watched are lost. */
  removeReceiver(ref: ReceiverRef): void {
    this.#receivers[ref] = nobody
    for (let at = this.#receiverOf.indexOf(ref); at >= 0; at = this.#receiverOf.indexOf(ref, at)) {
      this.#receiverOf[at] = NO_RECEIVER
    }
    this.#freeReceivers.push(ref)
  }

  /**
   * Watches a descriptor for a side of a flow and reports its events to the receiver. `events` are bits of
   * `EpollEvent`, with `edgeTriggered` where wanted. Returns 0 or a negated errno.
   */
  watchFlow(descriptor: number, events: number, side: SideRef, receiver: ReceiverRef): number {
    const result = this.#register(descriptor, events)
    if (result !== 0) return result
    this.#sides[descriptor] = side
    this.#receiverOf[descriptor] = receiver
    return 0
  }

  /**
   * Reports events of a watched descriptor to another side of its receiver from now on, including those already
   * gathered.
   */
  handOver(descriptor: number, side: SideRef): void {
    this.#sides[descriptor] = side
  }

  /** As {@link EventLoop.watchFlow}, for a listening socket. */
  watchListener(descriptor: number, events: number, listener: ListenerRef, receiver: ReceiverRef): number {
    return this.watchFlow(descriptor, events, (FIRST_LISTENER - listener) as SideRef, receiver)
  }

  watchReadable(descriptor: number, callback: () => void): void {
    this.watchDescriptor(descriptor, EpollEvent.readable, callback)
  }

  /**
   * Watches a descriptor and calls back for its events. Throws a `SystemError` for a descriptor that can't be watched.
   */
  watchDescriptor(descriptor: number, events: number, callback: DescriptorCallback): void {
    this.#add(descriptor, events)
    this.#callbacks[descriptor] = callback
  }

  /** Changes which events of a watched descriptor are reported. Returns 0 or a negated errno. */
  modify(descriptor: number, events: number): number {
    const token = (this.#generations[descriptor] << DESCRIPTOR_BITS) | descriptor
    return this.#native.epollControl(this.#epoll, EpollOperation.modify, descriptor, events, token)
  }

  /** Stops watching. No further event of the descriptor is reported, not even one already gathered. */
  unwatch(descriptor: number): void {
    this.forget(descriptor)
    this.#native.epollControl(this.#epoll, EpollOperation.remove, descriptor, 0, 0)
  }

  /** {@link EventLoop.unwatch} for a descriptor that is closed right after, so that the kernel removes it by itself. */
  forget(descriptor: number): void {
    if (descriptor < 0 || descriptor >= this.#sides.length) return
    this.#sides[descriptor] = NO_SIDE
    // Flows have no callback. An array with an entry for each of their descriptors and holes between would become a
    // dictionary.
    if (descriptor < this.#callbacks.length) this.#callbacks[descriptor] = undefined
    this.#generations[descriptor] = (this.#generations[descriptor] + 1) & GENERATION_MASK
  }

  /** Gives libuv a turn after the current round. */
  requestTurn(): void {
    this.#turnWanted = true
  }

  /** Runs until {@link EventLoop.stop}. An error thrown by a callback or hook ends the loop and rejects the promise. */
  run(): Promise<void> {
    if (this.#running) throw new Error("The event loop runs already")
    this.#running = true
    this.#stopping = false
    // Keeps libuv's loop alive while this one runs.
    this.#keepAlive = setInterval(() => {}, LONGEST_TIMER_MILLISECONDS)
    return new Promise((resolve, reject) => {
      this.#finish = { resolve, reject }
      setImmediate(this.#enter)
    })
  }

  /** Ends {@link EventLoop.run} after the current round. */
  stop(): void {
    this.#stopping = true
  }

  /** Closes the epoll instance. The loop must not be running. */
  close(): void {
    this.#native.close(this.#epoll)
  }

  /**
   * Takes one batch of events, waiting at most `timeoutMicroseconds` (-1: for ever), and gives everything attached a
   * turn. {@link EventLoop.run} calls it repeatedly; tests and other kinds of loops may call it too.
   */
  round(timeoutMicroseconds: number): void {
    const count = this.#wait.wait(timeoutMicroseconds)
    if (count < 0) checkResult(count, "wait for events")
    this.clock.advance()
    const words = this.#words
    let index = this.#eventsOffset >> 2
    for (const end = index + count * 2; index < end; index += 2) this.#deliver(words[index], words[index + 1])
    this.#giveTurns()
  }

  #giveTurns(): void {
    const driven = this.#driven
    for (let index = 0; index < driven.length; index++) driven[index].turn()
  }

  #deliver(events: number, token: number): void {
    const descriptor = token & DESCRIPTOR_MASK
    if (this.#generations[descriptor] !== token >>> DESCRIPTOR_BITS) return
    const side = this.#sides[descriptor] as SideRef
    if (side >= 0) this.#receivers[this.#receiverOf[descriptor]].fromHost(side, events)
    else if (side <= FIRST_LISTENER) {
      this.#receivers[this.#receiverOf[descriptor]].fromListener((FIRST_LISTENER - side) as ListenerRef, events)
    } else if (side === LIBUV) this.requestTurn()
    else this.#callbacks[descriptor]?.(events)
  }

  #enterFromLibuv(): void {
    // libuv still counts the immediate that brought us here, and would want a turn at once. The runtime updates the
    // number of immediates whenever one is added or removed; after this, only others count.
    clearImmediate(setImmediate(() => {}))
    this.#turnWanted = false
    try {
      // libuv's callbacks may have left work to finish before this loop blocks.
      this.#giveTurns()
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
    const driven = this.#driven
    let deadline = Number.POSITIVE_INFINITY
    for (let index = 0; index < driven.length; index++) {
      const next = driven[index].nextDeadline()
      if (next < deadline) deadline = next
    }
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
    // Doesn't fit in a token. Far beyond the kernel's default limit for a process.
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
    const receiverOf = new Uint16Array(size)
    receiverOf.set(this.#receiverOf)
    this.#receiverOf = receiverOf
  }
}
