/**
 * A link whose other end takes frames slowly, as a socket to a hypervisor does that has other things to do: it takes so
 * many bytes at a time, and what is beyond that waits here.
 *
 * While frames wait the link says that it is congested. It goes on taking them all the same, as far as it has room: what is
 * small may be sent at any time.
 */
import type { Arena, FrameBatch, Link, LinkCapabilities } from "@demiflow/core"
import { copyLinkFrame, LinkEnd, type LinkFrame } from "./link-end.ts"
import type { VirtualClock } from "./virtual-clock.ts"

/** How slow a link is. */
export interface SlowLinkOptions {
  /** Bytes of frames that the other end takes at a time; at least one frame. */
  readonly bytes: number
  /** Milliseconds from one time to the next; Infinity to leave it to {@link SlowLink.take}. */
  readonly interval: number
  /** Bytes of frames that wait here at most; 262,144 by default. Frames beyond that are not taken. */
  readonly queueBytes?: number
}

const QUEUE_BYTES = 262_144

/** Wraps a link. */
export class SlowLink implements Link {
  readonly arena: Arena
  readonly capabilities: LinkCapabilities
  /** Called when the link is no longer congested. */
  onResume: (() => void) | undefined
  /** Frames that it did not take. */
  refused = 0
  /** Most bytes that ever waited. */
  mostWaiting = 0
  readonly #link: Link
  readonly #end: LinkEnd
  readonly #clock: VirtualClock
  readonly #options: SlowLinkOptions
  readonly #waiting: LinkFrame[] = []
  #waitingBytes = 0
  #credit: number
  #isDue = false

  constructor(link: Link, clock: VirtualClock, options: SlowLinkOptions) {
    this.arena = link.arena
    this.capabilities = link.capabilities
    this.#link = link
    this.#end = new LinkEnd(link)
    this.#clock = clock
    this.#options = options
    this.#credit = options.bytes
  }

  get isCongested(): boolean {
    return this.#waiting.length > 0
  }

  receive(batch: FrameBatch): number {
    return this.#link.receive(batch)
  }

  send(batch: FrameBatch, first: number, count: number): number {
    const limit = this.#options.queueBytes ?? QUEUE_BYTES
    const wasCongested = this.isCongested
    let taken = 0
    for (; taken < count; taken++) {
      const length = batch.length[first + taken]
      if (this.#waitingBytes + length > limit) break
      this.#waiting.push(copyLinkFrame(this.arena, batch, first + taken))
      this.#waitingBytes += length
    }
    this.refused += count - taken
    this.#forward(wasCongested)
    this.mostWaiting = Math.max(this.mostWaiting, this.#waitingBytes)
    return taken
  }

  close(): void {
    this.#link.close()
  }

  /** The other end takes what it takes at a time. */
  take(): void {
    this.#credit = this.#options.bytes
    this.#forward(this.isCongested)
  }

  #forward(wasCongested: boolean): void {
    const { bytes, interval } = this.#options
    while (this.#waiting.length > 0) {
      const [frame] = this.#waiting
      // One frame always fits where nothing was taken yet.
      if (frame.bytes.length > this.#credit && this.#credit < bytes) break
      if (!this.#end.send(frame)) break
      this.#credit -= frame.bytes.length
      this.#waiting.shift()
      this.#waitingBytes -= frame.bytes.length
    }
    if (this.#credit < bytes && !this.#isDue && interval < Number.POSITIVE_INFINITY) {
      this.#isDue = true
      this.#clock.schedule(interval, () => {
        this.#isDue = false
        this.take()
      })
    }
    if (wasCongested && !this.isCongested) this.onResume?.()
  }
}
