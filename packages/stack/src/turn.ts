/**
 * One turn of a stack: the same function, in the same order, for an event loop, a simulation and a caller of one's own.
 *
 * Events of sockets come first, as they occur: `Stack.fromHost` and `Stack.fromListener` handle each at once. Then, in
 * a turn:
 *
 * 1. The first turn starts the stack, unless its owner does that when the guest comes.
 * 2. Frames from the guest: at most the tap side's budget (256 unless configured otherwise), or those of 2 ms.
 * 3. Timers: at most 64 flows that are due, and one call of each handler that is due.
 * 4. Output: handlers finish what they gathered, and the link gets what is queued, at most the tap side's transmit
 *    space.
 *
 * What is left of frames or timers is for the next turn, so that a flood on one flow starves nobody.
 */
import type { Clock, Driven } from "@demiflow/core"
import type { TapSide } from "@demiflow/tap"
import type { Stack } from "./stack.ts"

/** The turns of a stack. */
export class Turn implements Driven {
  readonly #stack: Stack
  readonly #tap: TapSide
  readonly #clock: Clock
  readonly #onLinkError: (errno: number) => void
  #startsStack: boolean
  #hasFrames = false
  #isOver = false

  /**
   * @param startsStack whether the first turn starts the stack
   * @param onLinkError called if the link is gone for good, with a positive error number
   */
  constructor(stack: Stack, tap: TapSide, clock: Clock, startsStack: boolean, onLinkError: (errno: number) => void) {
    this.#stack = stack
    this.#tap = tap
    this.#clock = clock
    this.#startsStack = startsStack
    this.#onLinkError = onLinkError
  }

  /** True if frames from the guest wait, or may wait, for the next turn. */
  get hasFrames(): boolean {
    return this.#hasFrames
  }

  /** Has the next turn take frames from the link. */
  readonly framesWait = (): void => {
    this.#hasFrames = true
  }

  /** Makes this turn, if one runs, the last. */
  end(): void {
    this.#isOver = true
    this.#hasFrames = false
  }

  nextDeadline(): number {
    return this.#hasFrames ? Number.NEGATIVE_INFINITY : this.#stack.nextDeadline()
  }

  turn(): void {
    this.take(this.#hasFrames)
  }

  /**
   * Runs a turn. Returns the number of frames from the guest, or the link's negative error number if the guest is gone.
   *
   * @param asksLink false to take no frames, because the link is known to have none
   */
  take(asksLink: boolean): number {
    if (this.#isOver) return 0
    if (this.#startsStack) {
      this.#startsStack = false
      this.#stack.start()
    }
    let received = 0
    if (asksLink) {
      // The guest may send more meanwhile, and report that.
      this.#hasFrames = false
      received = this.#tap.receive()
      if (this.#tap.hasFrames) this.#hasFrames = true
      if (received < 0) this.#onLinkError(-received)
      // Its owner may have closed the stack.
      if (this.#isOver) return received
    }
    this.#stack.expire(this.#clock.now)
    this.#stack.endTurn()
    return received
  }
}
