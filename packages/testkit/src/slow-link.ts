/**
 * A link whose other end takes frames slowly, like a socket to a busy hypervisor: it takes a number of bytes at a
 * time, and the other frames wait here.
 *
 * While frames wait the link reports that it is congested. It still takes frames while it has room, because small
 * packets may be sent at any time.
 */
import type { Arena, FrameBatch, Link, LinkCapabilities } from "@demiflow/core"
import { copyLinkFrame, LinkEnd, type LinkFrame } from "./link-end.ts"
import type { VirtualClock } from "./virtual-clock.ts"

/** The pace of a slow link. */
export interface SlowLinkOptions {
  /** Bytes of frames that the other end takes at a time; at least one frame is taken. */
  readonly bytes: number
  /** Milliseconds from one take to the next; Infinity to leave it to {@link SlowLink.take}. */
  readonly interval: number
  /** Maximum bytes of frames that wait here; 262,144 by default. Frames beyond that are refused. */
  readonly queueBytes?: number
}

const QUEUE_BYTES = 262_144

/** Wraps a link. */
export class SlowLink implements Link {
  readonly arena: Arena
  readonly capabilities: LinkCapabilities
  /** Called when the link is no longer congested. */
  onResume: (() => void) | undefined
  /** Number of refused frames. */
  refused = 0
  /** The largest number of bytes that ever waited. */
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

  get isOver(): boolean {
    return this.#link.isOver ?? false
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

  /** The other end takes its bytes of one time. */
  take(): void {
    this.#credit = this.#options.bytes
    this.#forward(this.isCongested)
  }

  #forward(wasCongested: boolean): void {
    const { bytes, interval } = this.#options
    while (this.#waiting.length > 0) {
      const [frame] = this.#waiting
      // If nothing was taken yet, one frame always fits.
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
