/**
 * Where hypervisors come in: a listening socket at which one at a time is admitted, or a connected socket that the
 * caller hands over. One that connects while another is connected is closed at once; one that connects after the other
 * has hung up is not, in whatever order the loop reports these events.
 */
import { type Arena, Errno } from "@demiflow/core"
import { EpollEvent, type EventLoop, type Native } from "@demiflow/sys"
import { checkStreamDescriptor, processAtOtherEnd } from "./stream-descriptor.ts"
import type { StreamListener } from "./stream-listener.ts"

/** `struct ucred`. */
const CREDENTIALS_BYTES = 12
/** How long to stop accepting hypervisors after one failed for lack of descriptors or memory, milliseconds. */
const PAUSE = 1_000

/** The place that hypervisors come for: it holds one. */
export interface HypervisorPlace {
  /** True while a hypervisor is connected. */
  readonly isConnected: boolean
  /** True if that hypervisor has hung up: the place will be free soon, and those that connect wait for that. */
  readonly isEnding: boolean
}

/** Callbacks to the owner. */
export interface EntranceHooks {
  /**
   * A hypervisor has connected.
   *
   * @param descriptor the owner's from now on
   * @param process its process id; 0 if unknown
   */
  onArrived(descriptor: number, process: number): void
  /** Another hypervisor tried to connect while one is connected, and was closed. */
  onRefused?(process: number): void
  /** A hypervisor can't be accepted. The next attempt follows a second later. */
  onAcceptError?(errno: number): void
}

/** Admits hypervisors, one at a time. */
export class Entrance {
  readonly #native: Native
  readonly #arena: Arena
  readonly #loop: EventLoop
  readonly #place: HypervisorPlace
  readonly #hooks: EntranceHooks
  readonly #scratch: number
  #listener: StreamListener | undefined
  #pause: NodeJS.Timeout | undefined
  /** True if somebody has been found waiting while the place was taken. */
  #wasFull = false

  constructor(native: Native, arena: Arena, loop: EventLoop, place: HypervisorPlace, hooks: EntranceHooks) {
    this.#native = native
    this.#arena = arena
    this.#loop = loop
    this.#place = place
    this.#hooks = hooks
    this.#scratch = arena.reserve(CREDENTIALS_BYTES, 8, "a link to a hypervisor")
  }

  /** Accepts hypervisors from now on, until {@link Entrance.close}. */
  listen(listener: StreamListener): void {
    this.#listener = listener
    this.#loop.watchDescriptor(listener.descriptor, EpollEvent.readable, () => this.#accept(listener))
  }

  /**
   * Admits a connected socket. Throws `StreamError` with code `ERR_STREAM_DESCRIPTOR` for a descriptor that can't lead
   * to a hypervisor.
   */
  adopt(descriptor: number): void {
    checkStreamDescriptor(this.#native, descriptor)
    this.#hooks.onArrived(descriptor, this.#processAt(descriptor))
  }

  /** Closes the listener. */
  close(): void {
    clearTimeout(this.#pause)
    const listener = this.#listener
    this.#listener = undefined
    if (listener === undefined) return
    this.#loop.unwatch(listener.descriptor)
    listener.close()
  }

  #accept(listener: StreamListener): void {
    const { isConnected, isEnding } = this.#place
    // The listener stays readable.
    if (isEnding || this.#mayHaveHungUp(isConnected)) return
    const descriptor = listener.accept()
    if (descriptor < 0) {
      if (descriptor !== -Errno.EAGAIN && descriptor !== -Errno.ECONNABORTED)
        this.#pauseListening(listener, -descriptor)
      return
    }
    const process = this.#processAt(descriptor)
    if (!isConnected) this.#hooks.onArrived(descriptor, process)
    else {
      this.#native.close(descriptor)
      this.#hooks.onRefused?.(process)
    }
  }

  /**
   * True when a connection is first found at a place that is taken. What epoll(7) reports and is still ready goes to the
   * end of its list: before it reports the listener again, it reports a hypervisor that had hung up until now.
   */
  #mayHaveHungUp(isConnected: boolean): boolean {
    this.#wasFull = isConnected && !this.#wasFull
    return this.#wasFull
  }

  #processAt(descriptor: number): number {
    return processAtOtherEnd(this.#native, this.#arena, descriptor, this.#scratch)
  }

  /** The listener stays readable: without a pause, the loop would spin. */
  #pauseListening(listener: StreamListener, errno: number): void {
    this.#loop.modify(listener.descriptor, 0)
    this.#pause = setTimeout(() => this.#loop.modify(listener.descriptor, EpollEvent.readable), PAUSE)
    this.#hooks.onAcceptError?.(errno)
  }
}
