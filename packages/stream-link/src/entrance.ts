/**
 * Where hypervisors come in: a listening socket at which one at a time is admitted, or a connected socket that the
 * caller hands over. One that connects while another is connected is closed at once.
 */
import { type Arena, Errno } from "@demiflow/core"
import { EpollEvent, type EventLoop, type Native } from "@demiflow/sys"
import { checkStreamDescriptor, processAtOtherEnd } from "./stream-descriptor.ts"
import type { StreamListener } from "./stream-listener.ts"

/** `struct ucred`. */
const CREDENTIALS_BYTES = 12
/** How long to stop accepting hypervisors after one failed for lack of descriptors or memory, milliseconds. */
const PAUSE = 1_000

/** Whether there is room for a hypervisor: `soon` leaves those that connect waiting, `full` closes their connections. */
export type Room = "free" | "soon" | "full"

/** Callbacks to the owner. */
export interface EntranceHooks {
  room(): Room
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
  readonly #hooks: EntranceHooks
  readonly #scratch: number
  #listener: StreamListener | undefined
  #pause: NodeJS.Timeout | undefined

  constructor(native: Native, arena: Arena, loop: EventLoop, hooks: EntranceHooks) {
    this.#native = native
    this.#arena = arena
    this.#loop = loop
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
    const room = this.#hooks.room()
    // The listener stays readable.
    if (room === "soon") return
    const descriptor = listener.accept()
    if (descriptor < 0) {
      if (descriptor !== -Errno.EAGAIN && descriptor !== -Errno.ECONNABORTED)
        this.#pauseListening(listener, -descriptor)
      return
    }
    const process = this.#processAt(descriptor)
    if (room === "free") this.#hooks.onArrived(descriptor, process)
    else {
      this.#native.close(descriptor)
      this.#hooks.onRefused?.(process)
    }
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
