/**
 * Hypervisors, one at a time: where they connect, the link they are attached to, and the event loop that tells of both.
 *
 * A hypervisor that connects while there is another one is closed at once. When one goes, for whatever reason, the link
 * is detached first and the owner told afterwards: what its flows still send is dropped by the link.
 */
import { type Arena, Errno } from "@demiflow/core"
import { EpollEvent, type EventLoop, type Native } from "@demiflow/sys"
import { checkStreamDescriptor, processAtOtherEnd } from "./stream-descriptor.ts"
import type { StreamEnd } from "./stream-errors.ts"
import type { StreamLink } from "./stream-link.ts"
import type { StreamListener } from "./stream-listener.ts"

/** `struct ucred`. */
const CREDENTIALS_BYTES = 12
/** How long to leave hypervisors alone that can't be accepted for want of descriptors or memory, milliseconds. */
const PAUSE = 1_000

/** How long what was read at once is handed out before other descriptors have their turn, microseconds. */
const TURN = 2_000

/** What the owner is told. */
export interface HypervisorHooks {
  /**
   * A hypervisor is attached to the link.
   *
   * @param process its process id; 0 if that can't be told
   */
  onConnected?(process: number): void
  /** Another one tried to connect while there is one, and was closed. */
  onRefused?(process: number): void
  /** A hypervisor can't be accepted. It is tried again a second later. */
  onAcceptError?(errno: number): void
  /** Frames wait on the link: hand them to the stack. Called again as long as some do. */
  onFrames(): void
  /** The link is no longer congested: time for `Stack.resume`. */
  onResume?(): void
  /** The hypervisor is gone and the link detached: time for `Stack.stop`. See `describeStreamEnd`. */
  onGone(end: StreamEnd): void
}

/** The hypervisor of a link. */
export class Hypervisor {
  readonly #native: Native
  readonly #arena: Arena
  readonly #loop: EventLoop
  readonly #link: StreamLink
  readonly #hooks: HypervisorHooks
  readonly #scratch: number
  #listener: StreamListener | undefined
  #pause: NodeJS.Timeout | undefined
  #nextTurn: NodeJS.Immediate | undefined
  #watchesWritable = false

  constructor(native: Native, loop: EventLoop, link: StreamLink, hooks: HypervisorHooks) {
    this.#native = native
    this.#arena = link.arena
    this.#loop = loop
    this.#link = link
    this.#hooks = hooks
    this.#scratch = link.arena.reserve(CREDENTIALS_BYTES, 8)
    link.onWaiting = () => this.#watchWritable(true)
  }

  /** True while there is one. */
  get isConnected(): boolean {
    return this.#link.descriptor >= 0
  }

  /** Accepts hypervisors from now on, until {@link Hypervisor.close}. */
  listen(listener: StreamListener): void {
    this.#listener = listener
    this.#loop.watchDescriptor(listener.descriptor, EpollEvent.readable, () => this.#accept(listener))
  }

  /**
   * Takes over a socket that is connected already. Throws `StreamError` with code `ERR_STREAM_DESCRIPTOR` if it isn't one that
   * a hypervisor could be at the other end of.
   */
  adopt(descriptor: number): void {
    checkStreamDescriptor(this.#native, descriptor)
    this.#attach(descriptor, processAtOtherEnd(this.#native, this.#arena, descriptor, this.#scratch))
  }

  /** Closes the hypervisor's connection, without telling, and the listener. */
  close(): void {
    if (this.isConnected) this.#detach()
    clearTimeout(this.#pause)
    const listener = this.#listener
    this.#listener = undefined
    if (listener === undefined) return
    this.#loop.unwatch(listener.descriptor)
    listener.close()
  }

  #accept(listener: StreamListener): void {
    const descriptor = listener.accept()
    if (descriptor < 0) {
      if (descriptor !== -Errno.EAGAIN && descriptor !== -Errno.ECONNABORTED)
        this.#pauseListening(listener, -descriptor)
      return
    }
    const process = processAtOtherEnd(this.#native, this.#arena, descriptor, this.#scratch)
    if (!this.isConnected) this.#attach(descriptor, process)
    else {
      this.#native.close(descriptor)
      this.#hooks.onRefused?.(process)
    }
  }

  /** The listener stays readable: without a pause, the loop would turn and turn. */
  #pauseListening(listener: StreamListener, errno: number): void {
    this.#loop.modify(listener.descriptor, 0)
    this.#pause = setTimeout(() => this.#loop.modify(listener.descriptor, EpollEvent.readable), PAUSE)
    this.#hooks.onAcceptError?.(errno)
  }

  #attach(descriptor: number, process: number): void {
    this.#link.attach(descriptor)
    this.#watchesWritable = false
    this.#loop.watchDescriptor(descriptor, EpollEvent.readable, (events) => this.#onEvents(events))
    this.#hooks.onConnected?.(process)
  }

  #onEvents(events: number): void {
    const link = this.#link
    if (this.#watchesWritable && link.drain()) {
      this.#watchWritable(false)
      if (link.end === undefined) this.#hooks.onResume?.()
    }
    if ((events & ~EpollEvent.writable) !== 0 && link.end === undefined) this.#handOut()
    this.#takeLeave()
  }

  /** Of tiny frames, one read brings 29,000, and some take long: a SYN has a socket opened. */
  #handOut(): void {
    const link = this.#link
    const began = this.#native.monotonicWord()
    do this.#hooks.onFrames()
    while (link.isFrameWaiting && ((this.#native.monotonicWord() - began) | 0) < TURN)
    if (!link.isFrameWaiting || this.#nextTurn !== undefined) return
    this.#nextTurn = setImmediate(() => {
      this.#nextTurn = undefined
      if (this.#link.isFrameWaiting) this.#handOut()
      this.#takeLeave()
    })
  }

  #takeLeave(): void {
    const { end } = this.#link
    if (end === undefined) return
    this.#detach()
    this.#hooks.onGone(end)
  }

  /** Being writable is asked for while something waits only: otherwise its event would never end. */
  #watchWritable(wanted: boolean): void {
    if (wanted === this.#watchesWritable) return
    this.#watchesWritable = wanted
    const events = wanted ? EpollEvent.readable | EpollEvent.writable : EpollEvent.readable
    this.#loop.modify(this.#link.descriptor, events)
  }

  #detach(): void {
    clearImmediate(this.#nextTurn)
    this.#nextTurn = undefined
    const descriptor = this.#link.detach()
    this.#loop.unwatch(descriptor)
    this.#native.close(descriptor)
  }
}
