import type { SeededRandom } from "../seeded-random.ts"
import type { VirtualClock, VirtualTimer } from "../virtual-clock.ts"

/** Packets of connections that are on their way, so that one may arrive between two calls of a host. */
export class Network {
  readonly #clock: VirtualClock
  readonly #random: SeededRandom
  /** Probability that the next packet arrives between two calls. */
  readonly #betweenCalls: number
  /** In the order of sending. */
  readonly #travelling = new Set<{ readonly timer: VirtualTimer; readonly arrive: () => void }>()

  constructor(clock: VirtualClock, random: SeededRandom, betweenCalls: number) {
    this.#clock = clock
    this.#random = random
    this.#betweenCalls = betweenCalls
  }

  get now(): number {
    return this.#clock.now
  }

  /** Delivers a packet after a delay in milliseconds, or between two calls before that. Packets never change places. */
  deliver(delay: number, arrive: () => void): void {
    if (this.#betweenCalls === 0) {
      this.#clock.schedule(delay, arrive)
      return
    }
    const timer = this.#clock.schedule(delay, () => {
      this.#travelling.delete(packet)
      arrive()
    })
    const packet = { timer, arrive }
    this.#travelling.add(packet)
  }

  /** A call begins: what is next on its way may arrive first. */
  call(): void {
    if (this.#travelling.size === 0 || !this.#random.chance(this.#betweenCalls)) return
    let next: { readonly timer: VirtualTimer; readonly arrive: () => void } | undefined
    // Of packets that arrive at the same moment, the one that was sent first.
    for (const packet of this.#travelling) {
      if (next === undefined || packet.timer.deadline < next.timer.deadline) next = packet
    }
    if (next === undefined) return
    next.timer.cancel()
    this.#travelling.delete(next)
    next.arrive()
  }
}
