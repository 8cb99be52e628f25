import type { SeededRandom } from "../seeded-random.ts"
import type { VirtualClock, VirtualTimer } from "../virtual-clock.ts"
import type { SocketFaults } from "./socket-faults.ts"

/** An event of the world that is on its way: a packet, the outcome of a connect, room in a full buffer. */
interface Pending {
  readonly timer: VirtualTimer
  readonly happen: () => void
  readonly conversation: object
}

/**
 * The events of the world that the hosts of one machine have yet to see. Each happens at its time, or before that,
 * between two calls of a host: a kernel doesn't wait for the end of a turn either.
 */
export class Network {
  readonly #clock: VirtualClock
  /** In the order in which they were caused. */
  readonly #pending = new Set<Pending>()

  constructor(clock: VirtualClock) {
    this.#clock = clock
  }

  get now(): number {
    return this.#clock.now
  }

  /**
   * Has an event happen after a delay in milliseconds, or between two calls before that.
   *
   * @param conversation whose event it is, such as a socket. Events of one conversation keep their order, those of
   *   different ones needn't
   */
  deliver(delay: number, conversation: object, happen: () => void): void {
    const timer = this.#clock.schedule(delay, () => {
      this.#pending.delete(event)
      happen()
    })
    const event: Pending = { timer, happen, conversation }
    this.#pending.add(event)
  }

  /**
   * A call begins, or the wait for events: what is pending may happen first. That covers the time after each call as
   * well, since nothing can notice an event before the next call.
   */
  call(random: SeededRandom, { betweenCalls, mostBetweenCalls }: SocketFaults): void {
    if (this.#pending.size === 0 || !random.chance(betweenCalls)) return
    for (let left = random.between(1, mostBetweenCalls); left > 0 && this.#pending.size > 0; left--) {
      const event = this.#draw(random)
      event.timer.cancel()
      this.#pending.delete(event)
      event.happen()
    }
    // Whatever the events have made ready is reported, even if nothing else is due.
    this.#clock.schedule(0, () => {})
  }

  /** The next event of a conversation drawn at random. Of two at the same moment, the one that was caused first. */
  #draw(random: SeededRandom): Pending {
    const pending = [...this.#pending]
    const { conversation } = random.pick(pending)
    const own = pending.filter((event) => event.conversation === conversation)
    return own.reduce((next, event) => (event.timer.deadline < next.timer.deadline ? event : next))
  }
}
