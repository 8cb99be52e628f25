import { type Arena, type Clock, FrameBatch, type Link, type LinkCapabilities } from "@demiflow/core"
import { corruptFrame, HeldFrames, holdFrame, isLeftTogether } from "./held-frames.ts"
import { SeededRandom } from "./seeded-random.ts"

/** Faults that frames may suffer. Probabilities are from 0 to 1, and 0 if not given. */
export interface Faults {
  /** A frame is lost. */
  readonly loss?: number
  /** A frame arrives twice. */
  readonly duplication?: number
  /** One bit of a frame is flipped. A frame to the guest that the link would have to cut is lost instead. */
  readonly corruption?: number
  /** A frame is overtaken by those sent within {@link Faults.reorderingDelay} after it. */
  readonly reordering?: number
  /** Milliseconds; 10 if not given. */
  readonly reorderingDelay?: number
  /** Milliseconds that each frame is delayed; 0 if not given. */
  readonly delay?: number
  /** Largest additional random delay, milliseconds: frames may overtake each other. 0 if not given. */
  readonly jitter?: number
}

/** The faults of a {@link FaultInjector} in both directions. They are read for each frame, so they may change. */
export interface FaultOptions {
  readonly clock: Clock
  /** The same seed gives the same faults to the same frames. */
  readonly seed: number
  readonly fromGuest?: Faults
  readonly toGuest?: Faults
}

const BATCH_SIZE = 64
/** Room for several frames of the largest size. */
const BUFFER_BYTES = 512 << 10

/**
 * A link that subjects the frames of another link to what networks do to frames. For tests and experiments: it copies
 * every frame.
 *
 * Delayed frames move on with each call of {@link FaultInjector.receive} and {@link FaultInjector.send};
 * {@link FaultInjector.nextDeadline} returns when the next call is due.
 */
export class FaultInjector implements Link {
  readonly arena: Arena
  readonly capabilities: LinkCapabilities
  readonly #link: Link
  readonly #clock: Clock
  readonly #random: SeededRandom
  readonly #fromGuest: Faults
  readonly #toGuest: Faults
  readonly #received: HeldFrames
  readonly #sent: HeldFrames
  readonly #batch = new FrameBatch(BATCH_SIZE)

  /** Reserves a megabyte of the link's arena. */
  constructor(link: Link, options: FaultOptions) {
    this.arena = link.arena
    this.capabilities = link.capabilities
    this.#link = link
    this.#clock = options.clock
    this.#random = new SeededRandom(options.seed)
    this.#fromGuest = options.fromGuest ?? {}
    this.#toGuest = options.toGuest ?? {}
    this.#received = new HeldFrames(link.arena, BUFFER_BYTES, 0)
    this.#sent = new HeldFrames(link.arena, BUFFER_BYTES, link.capabilities.headroom)
  }

  /** Returns when a delayed frame may move on, in clock milliseconds; Infinity if none is waiting. */
  nextDeadline(): number {
    return Math.min(this.#received.nextDue, this.#sent.nextDue)
  }

  /** Number of delayed frames, in both directions. */
  get held(): number {
    return this.#received.count + this.#sent.count
  }

  get isCongested(): boolean {
    return this.#link.isCongested ?? false
  }

  get isOver(): boolean {
    return this.#link.isOver ?? false
  }

  receive(batch: FrameBatch): number {
    this.#forward()
    let count: number
    do {
      count = this.#link.receive(this.#batch)
      for (let index = 0; index < count; index++) this.#afflict(this.#received, this.#fromGuest, this.#batch, index)
    } while (count === BATCH_SIZE)
    const due = this.#received.fill(batch, this.#clock.now)
    this.#received.remove(due)
    return due === 0 && count < 0 && this.#received.count === 0 ? count : due
  }

  /** Takes every frame: this link decides what becomes of it. */
  send(batch: FrameBatch, first: number, count: number): number {
    for (let index = first; index < first + count; index++) this.#afflict(this.#sent, this.#toGuest, batch, index)
    this.#forward()
    return count
  }

  close(): void {
    this.#link.close()
  }

  /** Sends the frames that are due. */
  #forward(): void {
    for (;;) {
      const count = this.#sent.fill(this.#batch, this.#clock.now)
      if (count === 0) return
      const taken = this.#link.send(this.#batch, 0, count)
      this.#sent.remove(Math.max(taken, 0))
      if (taken < count) return
    }
  }

  #afflict(held: HeldFrames, faults: Faults, batch: FrameBatch, index: number): void {
    const random = this.#random
    if (random.chance(faults.loss ?? 0)) return
    const copies = random.chance(faults.duplication ?? 0) ? 2 : 1
    for (let copy = 0; copy < copies; copy++) {
      const frame = holdFrame(this.arena, batch, index)
      if (random.chance(faults.corruption ?? 0)) {
        if (held === this.#sent && isLeftTogether(frame)) continue
        corruptFrame(frame, random.below(frame.bytes.length * 8))
      }
      let delay = faults.delay ?? 0
      if (faults.jitter !== undefined && faults.jitter > 0) delay += random.below(faults.jitter + 1)
      if (random.chance(faults.reordering ?? 0)) delay += faults.reorderingDelay ?? 10
      frame.due = this.#clock.now + delay
      held.add(frame)
    }
  }
}
