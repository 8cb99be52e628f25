import type { SeededRandom } from "../seeded-random.ts"
import type { VirtualClock } from "../virtual-clock.ts"
import type { SimulatedSocket } from "./simulated-socket.ts"

/** What goes wrong, or comes late, by chance. All of it is what a kernel may do. */
export interface HostFaults {
  /** Probability that `send` takes less than there is room for, or nothing. */
  readonly partialSend: number
  /** Probability that an event is reported late. */
  readonly lateEvent: number
  /** How late at most, milliseconds. */
  readonly lateness: number
  /** Probability, each time events are reported, that one is for which there is no reason. */
  readonly spuriousEvent: number
  /** Probability, at each call with a socket, that the next packet of a connection arrives before it, and not later. */
  readonly betweenCalls: number
}

/** A host on which nothing happens by chance. */
export const NO_HOST_FAULTS: HostFaults = {
  partialSend: 0,
  lateEvent: 0,
  lateness: 0,
  spuriousEvent: 0,
  betweenCalls: 0,
}

/** What the simulated sockets share: time, chance, and the list of sockets that have something to report. */
export class SimulatedKernel {
  readonly clock: VirtualClock
  readonly random: SeededRandom
  readonly faults: HostFaults
  #listed: SimulatedSocket[] = []

  constructor(clock: VirtualClock, random: SeededRandom, faults: HostFaults) {
    this.clock = clock
    this.random = random
    this.faults = faults
  }

  /** True if sockets wait to be reported. */
  get hasListed(): boolean {
    return this.#listed.length > 0
  }

  /** Something changed on the socket: it is reported the next time events are asked for, if it is ready then. */
  list(socket: SimulatedSocket): void {
    if (socket.isListed || !socket.isOpen || !socket.isWatched) return
    if (this.random.chance(this.faults.lateEvent)) {
      this.clock.schedule(this.random.between(1, this.faults.lateness), () => this.#listNow(socket))
    } else this.#listNow(socket)
  }

  /** As {@link SimulatedKernel.list}, after a while. */
  listLater(socket: SimulatedSocket, delay: number): void {
    if (socket.isWatched) this.clock.schedule(delay, () => this.#listNow(socket))
  }

  /** Takes the list. */
  takeListed(): readonly SimulatedSocket[] {
    const listed = this.#listed
    this.#listed = []
    for (const socket of listed) socket.isListed = false
    return listed
  }

  #listNow(socket: SimulatedSocket): void {
    if (socket.isListed || !socket.isOpen) return
    socket.isListed = true
    this.#listed.push(socket)
  }
}
