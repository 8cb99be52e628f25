/**
 * Hypervisors, one at a time: joins the socket at which they connect, the link that they are attached to, and the event
 * loop that reports events of both.
 *
 * When the connected one goes, for whatever reason, the link is detached before the owner is notified: whatever its
 * flows still send is dropped by the link.
 */
import { EpollEvent, type EventLoop, type Native } from "@demiflow/sys"
import { Entrance, type EntranceHooks, type HypervisorPlace } from "./entrance.ts"
import type { StreamEnd } from "./stream-errors.ts"
import type { StreamLink } from "./stream-link.ts"
import type { StreamListener } from "./stream-listener.ts"

/** How long frames of one read are handed out before other descriptors have their turn, microseconds. */
const TURN = 2_000

/** Callbacks to the owner. */
export interface HypervisorHooks extends Pick<EntranceHooks, "onRefused" | "onAcceptError"> {
  /**
   * A hypervisor is attached to the link.
   *
   * @param process its process id; 0 if unknown
   */
  onConnected?(process: number): void
  /** Frames wait on the link: pass them to the stack. Called again for as long as some wait. */
  onFrames(): void
  /**
   * True if the owner takes the frames after {@link HypervisorHooks.onFrames}, in turns, for as long as some wait. It
   * calls {@link Hypervisor.checkEnd} when the link answers with an error.
   */
  readonly takesFramesLater?: boolean
  /** The link is no longer congested: time for `Stack.resume`. */
  onResume?(): void
  /** The hypervisor is gone and the link detached: time for `Stack.stop`. See `describeStreamEnd`. */
  onGone(end: StreamEnd): void
}

/** The hypervisor that is connected to a link, if any. */
export class Hypervisor implements HypervisorPlace {
  readonly #native: Native
  readonly #loop: EventLoop
  readonly #link: StreamLink
  readonly #hooks: HypervisorHooks
  readonly #entrance: Entrance
  #nextTurn: NodeJS.Immediate | undefined
  #watchesWritable = false
  #isEnding = false

  constructor(native: Native, loop: EventLoop, link: StreamLink, hooks: HypervisorHooks) {
    this.#native = native
    this.#loop = loop
    this.#link = link
    this.#hooks = hooks
    this.#entrance = new Entrance(native, link.arena, loop, this, {
      onArrived: (descriptor, process) => this.#attach(descriptor, process),
      onRefused: (process) => hooks.onRefused?.(process),
      onAcceptError: (errno) => hooks.onAcceptError?.(errno),
    })
    link.onWaiting = () => this.#watchWritable(true)
  }

  /** True while a hypervisor is connected. */
  get isConnected(): boolean {
    return this.#link.descriptor >= 0
  }

  /** True once the hypervisor has hung up: what it sent before may still wait. */
  get isEnding(): boolean {
    return this.#isEnding
  }

  /** Accepts hypervisors from now on, until {@link Hypervisor.close}. */
  listen(listener: StreamListener): void {
    this.#entrance.listen(listener)
  }

  /**
   * Takes over a connected socket. Throws `StreamError` with code `ERR_STREAM_DESCRIPTOR` for a descriptor that can't
   * lead to a hypervisor.
   */
  adopt(descriptor: number): void {
    this.#entrance.adopt(descriptor)
  }

  /** Detaches a hypervisor that is gone: for an owner that takes frames later. */
  checkEnd(): void {
    this.#takeLeave()
  }

  /** Closes the hypervisor's connection, without a callback, and the listener. */
  close(): void {
    if (this.isConnected) this.#detach()
    this.#entrance.close()
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
    if ((events & EpollEvent.hangUp) !== 0) this.#isEnding = true
    const hasFrames = (events & ~EpollEvent.writable) !== 0 || link.isFrameWaiting
    if (hasFrames && link.end === undefined) this.#handOut()
    this.#takeLeave()
  }

  /** One read can bring 29,000 tiny frames, and some take long: a SYN opens a socket. */
  #handOut(): void {
    if (this.#hooks.takesFramesLater) {
      this.#hooks.onFrames()
      return
    }
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

  /** Watched for being writable only while bytes wait: otherwise the event would never stop. */
  #watchWritable(wanted: boolean): void {
    if (wanted === this.#watchesWritable) return
    this.#watchesWritable = wanted
    const events = wanted ? EpollEvent.readable | EpollEvent.writable : EpollEvent.readable
    this.#loop.modify(this.#link.descriptor, events)
  }

  #detach(): void {
    clearImmediate(this.#nextTurn)
    this.#nextTurn = undefined
    this.#isEnding = false
    const descriptor = this.#link.detach()
    this.#loop.unwatch(descriptor)
    this.#native.close(descriptor)
  }
}
